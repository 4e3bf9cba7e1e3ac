//! What one process is, as data: nothing here touches the system.

use crate::Confinement;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// Who a process runs as: numbers only, resolved from the *image's* passwd and group files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups, exactly these; empty means none.
    pub groups: Vec<u32>,
}

/// One process to run: argv, environment, directory, user and root, and nothing implied.
///
/// The environment is complete: what is not in `env` does not exist for the process.
#[derive(Clone, PartialEq, Eq)]
pub struct ProcessSpec {
    /// Program and arguments. A program without `/` is looked up in the `PATH` of `env`.
    pub argv: Vec<OsString>,
    /// The whole environment, in order.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory inside `root`; it must exist.
    pub cwd: PathBuf,
    /// User, group and supplementary groups.
    pub user: Credentials,
    /// Root directory to change into first; `None` is the executor's own root.
    pub root: Option<PathBuf>,
    /// File mode creation mask, octal `022` unless changed (Dockerfile spec §5.2).
    pub umask: u32,
    /// What it may do besides what its user may.
    pub confinement: Confinement,
}

impl ProcessSpec {
    /// The umask of every RUN (BuildKit's).
    pub const DEFAULT_UMASK: u32 = 0o022;

    /// A process with this command line, run as root of our own root in `/`, with an empty
    /// environment.
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            user: Credentials::default(),
            root: None,
            umask: Self::DEFAULT_UMASK,
            confinement: Confinement::default(),
        }
    }

    /// The value that `getenv` would find: the first of that name.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.env.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_os_str())
    }
}

/// One line for plans and logs. Values of variables are left out: they may be secrets.
impl fmt::Display for ProcessSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} user {}:{}",
            self.argv, self.user.uid, self.user.gid
        )?;
        let separators = std::iter::once(" groups ").chain(std::iter::repeat(","));
        for (separator, group) in separators.zip(&self.user.groups) {
            write!(f, "{separator}{group}")?;
        }
        write!(f, " cwd {}", self.cwd.display())?;
        if let Some(root) = &self.root {
            write!(f, " root {}", root.display())?;
        }
        write!(f, " umask {:04o}{} env", self.umask, self.confinement)?;
        for (name, _) in &self.env {
            write!(f, " {}", name.display())?;
        }
        Ok(())
    }
}

/// As `Display`: a derived one would print secrets.
impl fmt::Debug for ProcessSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessSpec({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CapabilityLimit, Limit, NetworkAccess};

    #[test]
    fn a_spec_prints_as_one_line_without_the_values_of_variables() {
        let mut spec = ProcessSpec::new(["/bin/sh", "-c", "npm ci"]);
        spec.env.push(("TOKEN".into(), "hunter2".into()));
        spec.user = Credentials {
            uid: 1,
            gid: 2,
            groups: vec![3, 4],
        };
        spec.cwd = "/srv".into();
        let expected =
            r#"["/bin/sh", "-c", "npm ci"] user 1:2 groups 3,4 cwd /srv umask 0022 env TOKEN"#;
        assert_eq!(spec.to_string(), expected);
        assert!(!format!("{spec:?}").contains("hunter2"));
    }

    #[test]
    fn what_a_process_may_not_do_is_told_where_it_is_not_the_default() {
        let mut spec = ProcessSpec::new(["x"]);
        spec.confinement = Confinement {
            network: NetworkAccess::None,
            capabilities: CapabilityLimit::Executor,
            limits: Limit::new("nofile", Some(5), None).into_iter().collect(),
            read_only: crate::ReadOnly {
                paths: vec!["/m".into()],
                except: Vec::new(),
            },
        };
        let expected = r#"["x"] user 0:0 cwd / umask 0022 no network all capabilities limit nofile=5:-1 read-only /m env"#;
        assert_eq!(spec.to_string(), expected);
    }

    #[test]
    fn the_first_of_two_variables_of_one_name_counts_as_for_getenv() {
        let mut spec = ProcessSpec::new(["x"]);
        spec.env.push(("PATH".into(), "/a".into()));
        spec.env.push(("PATH".into(), "/b".into()));
        assert_eq!(spec.variable("PATH"), Some(OsStr::new("/a")));
    }
}
