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
#[derive(Debug, Clone, PartialEq, Eq)]
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
