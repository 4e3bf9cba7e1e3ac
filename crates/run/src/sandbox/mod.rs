//! A private root on a workstation: what a container runtime does for the executor in a pod.
//!
//! The executor starts itself again inside; there it finds what it finds in a pod: a root
//! directory of its own that may be thrown away, being PID 1, containerd's default capabilities,
//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` as mounted files. No code of a build knows
//! about sandboxes.
//!
//! | of the host | inside |
//! |---|---|
//! | files | the [`Bind`]s and the three files above (read-only); nothing else |
//! | processes, System V IPC, host name | namespaces of its own |
//! | devices | null, zero, full, random, urandom, tty; other nodes can be made but not opened |
//! | `/proc` | of the new namespace; kernel settings read-only, kernel memory and keys hidden |
//! | `/sys` | read-only as root, empty as a user |
//! | network | **shared**, abstract sockets included: builds pull and push |
//! | system calls | **not filtered** beyond what missing capabilities forbid |
//!
//! **As root** it needs `CAP_SYS_ADMIN`; ids inside are ids outside. **As an ordinary user** it
//! makes a user namespace. With `newuidmap`, `newgidmap` and entries in `/etc/subuid` and
//! `/etc/subgid` all ids of those ranges exist; without them only root does: a base image with
//! files of other owners cannot be unpacked then, and `USER` cannot change the user.
//!
//! KERNEL(5.12): `mount_setattr`. The new root lies on disk in a directory of the caller's choice;
//! what a build writes is removed with it.

mod capabilities;
mod check;
mod filesystems;
mod id_map;
mod inner;
mod mounts;
mod outer;
mod removal;
mod root;
mod user_namespace;

use std::ffi::OsString;
use std::path::PathBuf;

pub use outer::enter;

/// A path of the host that exists inside too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// A directory or file of the host; symlinks are followed.
    pub host: PathBuf,
    /// Where it appears: absolute, without `.` and `..`, not in `/proc`, `/sys` or `/dev`.
    pub inside: PathBuf,
    /// Whether the inside may write to it.
    pub writable: bool,
}

/// What runs in a sandbox, and with what.
#[derive(Clone, PartialEq, Eq)]
pub struct SandboxSpec {
    /// The program's file on the host, static since the new root has no libraries: copied to
    /// [`SandboxSpec::EXECUTOR`]. Usually `/proc/self/exe`.
    pub executor: PathBuf,
    /// Its arguments, its own name first.
    pub argv: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// What it may reach of the host. A bind below another needs its place to exist in that.
    pub binds: Vec<Bind>,
    /// Where the temporary root is made: on disk rather than in memory, not mounted `noexec`.
    pub directory: PathBuf,
}

impl SandboxSpec {
    /// Where the executor is found inside, as in its image.
    pub const EXECUTOR: &'static str = "/kaniko/executor";

    /// The per-boot marker (robustness catalogue §2.3): a regular file of this name in the root,
    /// holding the boot id, says that the root may be destroyed.
    pub const MARKER: &'static str = "/.kigumi-disposable-root";
}

/// Without the values of variables, which may be secrets.
impl std::fmt::Debug for SandboxSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            executor,
            argv,
            env,
            binds,
            directory,
        } = self;
        let names: Vec<_> = env.iter().map(|(name, _)| name).collect();
        f.debug_struct("SandboxSpec")
            .field("executor", executor)
            .field("argv", argv)
            .field("env", &names)
            .field("binds", binds)
            .field("directory", directory)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_printed_without_the_values_of_variables() {
        let spec = SandboxSpec {
            executor: "/proc/self/exe".into(),
            argv: Vec::new(),
            env: vec![("TOKEN".into(), "hunter2".into())],
            binds: Vec::new(),
            directory: "/var/tmp".into(),
        };
        let text = format!("{spec:?}");
        assert!(
            text.contains("TOKEN") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
