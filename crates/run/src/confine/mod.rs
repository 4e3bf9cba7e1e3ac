//! What a process may do, as data: computed before the fork, put in force between fork and exec.

mod capabilities;
mod limits;
mod network;

pub(crate) use capabilities::{DEFAULT, to_drop};
pub use capabilities::{missing_capabilities, parse_effective};
pub use limits::Limit;
pub(crate) use network::{answer, instruction, load, unless, without_network};

use crate::ReadOnly;
use std::fmt;

/// What a process may do besides what its user may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confinement {
    /// What it can reach.
    pub network: NetworkAccess,
    /// What its root may do.
    pub capabilities: CapabilityLimit,
    /// Resource limits to set; all others are those of the executor.
    pub limits: Vec<Limit>,
    /// What it must not change. Only root needs to be told: others go by the permissions of files. Where the kernel offers no means the process is
    /// started all the same; whoever asked for this looks afterwards.
    pub read_only: ReadOnly,
}

/// What a process can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkAccess {
    /// The network of the executor.
    #[default]
    Executor,
    /// Nothing: a seccomp filter refuses every socket that leads out of the process's machine or
    /// container, loopback included. Sockets of the file system, socket pairs and questions to
    /// the kernel (netlink) work.
    ///
    /// Where the executor has no `CAP_SYS_ADMIN`, the process also gets `no_new_privs`: set-user-id
    /// programs and file capabilities give it nothing.
    None,
}

/// Which capabilities a process may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CapabilityLimit {
    /// Those that containerd and Docker give to every container, as far as the executor has them.
    #[default]
    Container,
    /// All that the executor has.
    Executor,
}

/// Nothing for the default.
impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.network == NetworkAccess::None {
            f.write_str(" no network")?;
        }
        if self.capabilities == CapabilityLimit::Executor {
            f.write_str(" all capabilities")?;
        }
        for limit in &self.limits {
            write!(f, " limit {limit}")?;
        }
        for path in &self.read_only.paths {
            write!(f, " read-only {}", path.display())?;
        }
        Ok(())
    }
}
