//! Whether the root of this machine may be destroyed. hostile-inputs.md § 2.
//!
//! [`Facts`] are gathered without writing anything; [`assess`] decides over them and touches nothing. Its result is the only
//! key to a [`WritableRoot`], so that nothing destructive compiles without the question having been asked.

mod facts;
mod sandbox;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::root_dir::Crossing;
use crate::{Error, Mount, RootDir};

pub use facts::{BootMarker, Facts};
pub use sandbox::remove_sandbox;

/// The file that tells the executor's own image (evidence E1): it lies beside the executable, on the mount of `/`, and holds the build id.
///
/// The build of the image puts one into each directory that holds an executor (`/kaniko`, `/kigumi`).
pub const EXECUTOR_MARKER: &str = "kigumi-image";
/// The file that declares a root disposable until the next boot: a regular file of the running user on the mount of `/`, whose content is that of
/// `/proc/sys/kernel/random/boot_id`. For throw-away machines and test harnesses; no script can contain it.
pub const PER_BOOT_MARKER: &str = "/.kigumi-disposable-root";

/// `/proc/self/ns/pid` outside of any container. Linux `PROC_PID_INIT_INO`.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Something that speaks for a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// E1: the marker of the executor's own image.
    ExecutorImage,
    /// E2: `/` is an overlay mount.
    OverlayRoot,
    /// E3: `/.dockerenv` or `/run/.containerenv`.
    RuntimeFile,
    /// E4: the variable `container`.
    Environment,
    /// E5: the cgroup of a container runtime.
    Cgroup,
    /// E6: the service-account directory.
    ServiceAccount,
}

/// What the user allows and demands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Policy {
    /// `--force`: lifts S1 to S3, nothing else.
    pub force: bool,
    /// `--strict`: suspected host binds refuse instead of being warned about.
    pub strict: bool,
}

/// One reason not to work on this root. hostile-inputs.md § 2.2.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// H1: the kernel does not say what is mounted, or which namespace this is.
    Unknown {
        /// What cannot be read.
        what: &'static str,
    },
    /// H2: the PID namespace is the initial one.
    InitialPidNamespace,
    /// H3: an operating system was booted from this root.
    HostSystem {
        /// Each sign of it.
        signs: Vec<String>,
    },
    /// S1: nothing speaks for a container.
    NoEvidence,
    /// S2: a person sits at a terminal, and this is not the executor's own image.
    Terminal,
    /// S3: a directory of the host seems to be mounted writable.
    HostBind {
        /// Where.
        point: PathBuf,
    },
}

impl Reason {
    /// `H2`, as the documentation calls it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "H1",
            Self::InitialPidNamespace => "H2",
            Self::HostSystem { .. } => "H3",
            Self::NoEvidence => "S1",
            Self::Terminal => "S2",
            Self::HostBind { .. } => "S3",
        }
    }

    /// Whether `--force` lifts it.
    pub fn is_soft(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::InitialPidNamespace | Self::HostSystem { .. } => false,
            Self::NoEvidence | Self::Terminal | Self::HostBind { .. } => true,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.id())?;
        match self {
            Self::Unknown { what } => write!(f, "`{what}` cannot be read or understood"),
            Self::InitialPidNamespace => {
                f.write_str("this is a host, or a pod that shares the host's processes (hostPID)")
            }
            Self::HostSystem { signs } => {
                write!(
                    f,
                    "an operating system runs from this root ({})",
                    signs.join(", ")
                )
            }
            Self::NoEvidence => f.write_str("nothing says that this is a container"),
            Self::Terminal => f.write_str(
                "standard input is a terminal, and this is not the executor's own image",
            ),
            Self::HostBind { point } => write!(
                f,
                "`{}` may be a directory of the host, mounted writable; RUN can write there, the build itself does not",
                point.display()
            ),
        }
    }
}

/// Why the root of this machine is not touched: every reason that holds. Nothing has been written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    reasons: Vec<Reason>,
    marker: BootMarker,
}

impl Refusal {
    /// All of them, hard ones first.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a build overwrites the whole root filesystem, and this one is not disposable",
        )?;
        for reason in &self.reasons {
            write!(f, "; {reason}")?;
        }
        if let BootMarker::Rejected(why) = self.marker {
            write!(f, "; `{PER_BOOT_MARKER}` does not count: {why}")?;
        }
        if self.reasons.iter().all(Reason::is_soft) {
            f.write_str("; --force lifts this")?;
        }
        Ok(())
    }
}

/// Proof that a root may be overwritten, wiped, and its processes killed.
///
/// Only [`assess`] gives one for `/`, so that nothing destructive compiles without the question having been asked:
///
/// ```compile_fail,E0451
/// let root = kigumi_rootfs::DisposableRoot { path: "/".into(), warnings: Vec::new() };
/// ```
///
/// ```compile_fail,E0308
/// # fn wipe(exclusions: &mut kigumi_rootfs::Exclusions) -> Result<(), kigumi_rootfs::Error> {
/// let root = kigumi_rootfs::RootDir::open("/".as_ref())?;
/// kigumi_rootfs::wipe(&root, exclusions)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DisposableRoot {
    path: PathBuf,
    warnings: Vec<String>,
}

/// Decides whether `/` is disposable.
///
/// # Errors
/// [`Refusal`] with every reason.
pub fn assess(facts: &Facts, policy: Policy) -> Result<DisposableRoot, Refusal> {
    let is_declared = facts.boot_marker == BootMarker::Valid;
    let binds = suspected_binds(facts);
    let mut reasons = Vec::new();
    if facts.mounts.is_none() {
        let what = "/proc/self/mountinfo";
        reasons.push(Reason::Unknown { what });
    }
    match facts.pid_namespace.as_deref() {
        None => {
            let what = "/proc/self/ns/pid";
            reasons.push(Reason::Unknown { what });
        }
        Some(INITIAL_PID_NAMESPACE) if !is_declared => reasons.push(Reason::InitialPidNamespace),
        Some(_) => {}
    }
    if !is_declared && !facts.host_signs.is_empty() {
        let signs = facts.host_signs.clone();
        reasons.push(Reason::HostSystem { signs });
    }
    if !policy.force {
        if facts.evidence.is_empty() && !is_declared {
            reasons.push(Reason::NoEvidence);
        }
        let is_own_image = facts.evidence.contains(&Evidence::ExecutorImage);
        if facts.stdin_is_terminal && !is_own_image && !is_declared {
            reasons.push(Reason::Terminal);
        }
        if policy.strict {
            reasons.extend(binds.iter().cloned());
        }
    }
    if reasons.is_empty() {
        return Ok(DisposableRoot {
            path: PathBuf::from("/"),
            warnings: binds.iter().map(ToString::to_string).collect(),
        });
    }
    Err(Refusal {
        reasons,
        marker: facts.boot_marker,
    })
}

/// Filesystems of disks: what a directory of the host would be on.
const DISK_FILESYSTEMS: [&str; 9] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs",
];
/// What every kubelet mounts, with or without a pod directory behind it, and the file by which podman tells a container.
const RUNTIME_FILES: [&str; 5] = [
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/dev/termination-log",
    "/run/.containerenv",
];

/// The volume that the executor's own `debug` image declares: runtimes put a directory of theirs there, which belongs to the container.
const SHELL: &str = "/busybox";

fn suspected_binds(facts: &Facts) -> Vec<Reason> {
    let Some(mounts) = &facts.mounts else {
        return Vec::new();
    };
    let is_own_image = facts.evidence.contains(&Evidence::ExecutorImage);
    let is_expected = |mount: &Mount| {
        if is_own_image && mount.point == Path::new(SHELL) {
            return true;
        }
        RUNTIME_FILES
            .iter()
            .any(|file| mount.point == Path::new(file))
            || facts
                .declared
                .iter()
                .any(|declared| mount.point == *declared || declared.starts_with(&mount.point))
    };
    mounts
        .below(Path::new("/"))
        .filter(|mount| !mount.read_only && DISK_FILESYSTEMS.contains(&&*mount.filesystem))
        .filter(|mount| !is_pod_volume(&mount.root) && !is_expected(mount))
        .map(|mount| Reason::HostBind {
            point: mount.point.clone(),
        })
        .collect()
}

/// Whether a directory of a disk is below `…/pods/<uid>/…`, where kubelets keep what they mount into pods.
fn is_pod_volume(root: &Path) -> bool {
    let mut components = root.components().map(std::path::Component::as_os_str);
    while let Some(component) = components.next() {
        if component == "pods" {
            return components
                .next()
                .is_some_and(|uid| is_pod_uid(uid.as_encoded_bytes()));
        }
    }
    false
}

/// `8-4-4-4-12` hexadecimal digits; static pods have 32 without hyphens.
fn is_pod_uid(name: &[u8]) -> bool {
    let groups: Vec<&[u8]> = name.split(|byte| *byte == b'-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_shaped = lengths == [8, 4, 4, 4, 12] || lengths == [32];
    is_shaped && groups.concat().iter().all(u8::is_ascii_hexdigit)
}

impl DisposableRoot {
    /// A directory that the caller has just made for this purpose: empty, owned by this user, not `/`.
    ///
    /// # Errors
    /// [`Error::UnfitRoot`] when it is anything else.
    pub fn of_directory(path: &Path) -> Result<Self, Error> {
        let directory = RootDir::open(path)?;
        let host = directory.host_path().to_owned();
        let unfit = |reason| Error::UnfitRoot {
            path: host.clone(),
            reason,
        };
        if directory.host_path() == Path::new("/") {
            return Err(unfit("it is the root of this machine"));
        }
        if directory.stat().identity.uid != rustix::process::geteuid().as_raw() {
            return Err(unfit("it belongs to somebody else"));
        }
        let names = crate::disk::names(&directory).map_err(|source| Error::OpenHost {
            path: host.clone(),
            source: source.into(),
        })?;
        if !names.is_empty() {
            return Err(unfit("it is not empty"));
        }
        Ok(Self {
            path: host,
            warnings: Vec::new(),
        })
    }

    /// Where it is on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is suspicious, though not enough to refuse: one sentence each, for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A handle to write through.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn open(&self) -> Result<WritableRoot, Error> {
        RootDir::open_with(&self.path, Crossing::Refused, None).map(WritableRoot)
    }

    /// As [`DisposableRoot::open`], on a kernel that knows no `openat2`.
    #[cfg(test)]
    pub(crate) fn open_without_openat2(&self) -> WritableRoot {
        let resolver = Some(crate::root_dir::Resolver::Walk);
        WritableRoot(RootDir::open_with(&self.path, Crossing::Refused, resolver).unwrap())
    }
}

/// A root of the tests on which something was mounted since.
#[cfg(test)]
pub(crate) fn reopen(path: &Path) -> WritableRoot {
    WritableRoot(RootDir::open_with(path, Crossing::Refused, None).unwrap())
}

/// A root that may be written: only a [`DisposableRoot`] opens it. Derefs to [`RootDir`].
#[derive(Debug)]
pub struct WritableRoot(RootDir);

impl std::ops::Deref for WritableRoot {
    type Target = RootDir;

    fn deref(&self) -> &RootDir {
        &self.0
    }
}

#[cfg(test)]
mod tests;
