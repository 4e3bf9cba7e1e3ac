//! Resource limits.

use std::fmt;

use rustix::process::{Resource, Rlimit};

/// The names of Docker's `--ulimit`.
const RESOURCES: [(&str, Resource); 15] = [
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// One resource limit, in the kernel's unit: bytes, seconds, microseconds or a number of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Docker's name of it, such as `nofile`.
    pub name: &'static str,
    /// What applies; `None` is no limit.
    pub soft: Option<u64>,
    /// How far the process may raise it; `None` is no limit.
    pub hard: Option<u64>,
    resource: Resource,
}

impl Limit {
    /// A limit by Docker's name; `None` for a name there is not.
    pub fn new(name: &str, soft: Option<u64>, hard: Option<u64>) -> Option<Self> {
        let (name, resource) = RESOURCES.into_iter().find(|(known, _)| *known == name)?;
        Some(Self {
            name,
            soft,
            hard,
            resource,
        })
    }

    /// All names there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        RESOURCES.into_iter().map(|(name, _)| name)
    }

    /// As the system call takes it.
    pub(crate) fn to_set(self) -> (Resource, Rlimit) {
        let limit = Rlimit {
            current: self.soft,
            maximum: self.hard,
        };
        (self.resource, limit)
    }
}

/// As Docker writes it: `nofile=1024:4096`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: Option<u64>| value.map_or_else(|| "-1".to_owned(), |v| v.to_string());
        write!(f, "{}={}:{}", self.name, text(self.soft), text(self.hard))
    }
}
