use std::io::IsTerminal as _;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use kigumi_layer::ImagePath;
use rustix::fs::FileType;

use super::{EXECUTOR_MARKER, Evidence, PER_BOOT_MARKER};
use crate::disk::{self, Stat};
use crate::{Mounts, RootDir};

/// What the assessment is made from. Gathered without writing anything.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The mounts; `None` when they cannot be read or understood.
    pub(super) mounts: Option<Mounts>,
    /// Text of the link `/proc/self/ns/pid`; `None` when it cannot be read.
    pub(super) pid_namespace: Option<String>,
    /// What speaks for a container.
    pub(super) evidence: Vec<Evidence>,
    /// What speaks for a host.
    pub(super) host_signs: Vec<String>,
    pub(super) stdin_is_terminal: bool,
    pub(super) boot_marker: BootMarker,
    /// Paths that the user named, which may be mounts of any kind.
    pub(super) declared: Vec<PathBuf>,
}

/// What was found at [`PER_BOOT_MARKER`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootMarker {
    /// Nothing.
    Absent,
    /// A declaration for this boot.
    Valid,
    /// Something that does not count, and why.
    Rejected(&'static str),
}

/// More than any file that is read here has.
const SMALL: u64 = 64 * 1024;

/// The names that container runtimes give their cgroups.
const RUNTIME_CGROUPS: [&str; 6] = ["kubepods", "docker", "containerd", "crio", "libpod", "lxc"];

impl Facts {
    /// Looks at this machine. Never fails: what cannot be established is a fact, too.
    ///
    /// `build_id` is what the marker of the executor's own image must hold; `declared` are the paths that the user named
    /// (context, cache), which may be mounts of any kind.
    pub fn gather(build_id: &str, declared: &[PathBuf]) -> Self {
        let root = RootDir::open(Path::new("/")).ok();
        let mounts = Mounts::read().ok();
        Self {
            evidence: evidence(build_id, root.as_ref(), mounts.as_ref()),
            host_signs: host_signs(root.as_ref()),
            mounts,
            pid_namespace: std::fs::read_link("/proc/self/ns/pid")
                .ok()
                .map(|link| link.to_string_lossy().into_owned()),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            boot_marker: root.as_ref().map_or(BootMarker::Absent, |root| {
                let boot_id = std::fs::read("/proc/sys/kernel/random/boot_id").ok();
                boot_marker(root, boot_id.as_deref())
            }),
            declared: declared.to_vec(),
        }
    }

    /// What speaks for a container.
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }
}

fn evidence(build_id: &str, root: Option<&RootDir>, mounts: Option<&Mounts>) -> Vec<Evidence> {
    let exists = |path: &str| Path::new(path).exists();
    let root_mount = mounts.and_then(|mounts| mounts.at(Path::new("/")));
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let found = [
        (
            Evidence::ExecutorImage,
            root.is_some_and(|root| is_own_image(root, build_id)),
        ),
        (
            Evidence::OverlayRoot,
            root_mount.is_some_and(|mount| mount.filesystem == "overlay"),
        ),
        (
            Evidence::RuntimeFile,
            exists("/.dockerenv") || exists("/run/.containerenv"),
        ),
        (
            Evidence::Environment,
            std::env::var_os("container").is_some_and(|value| !value.is_empty()),
        ),
        (
            Evidence::Cgroup,
            RUNTIME_CGROUPS.iter().any(|name| cgroup.contains(name)),
        ),
        (
            Evidence::ServiceAccount,
            exists("/var/run/secrets/kubernetes.io/serviceaccount"),
        ),
    ];
    found
        .into_iter()
        .filter_map(|(evidence, holds)| holds.then_some(evidence))
        .collect()
}

/// Evidence E1: the marker lies beside this executable, on the mount of `/`, and is of this build.
fn is_own_image(root: &RootDir, build_id: &str) -> bool {
    let marker = std::env::current_exe()
        .ok()
        .and_then(|executable| Some(executable.parent()?.join(EXECUTOR_MARKER)));
    let Some(marker) = marker else {
        return false;
    };
    is_marker_of(&marker, root.stat(), build_id)
}

pub(super) fn is_marker_of(marker: &Path, root: &Stat, build_id: &str) -> bool {
    let Ok(stat) = disk::stat_at(rustix::fs::CWD, marker.as_os_str().as_encoded_bytes()) else {
        return false;
    };
    stat.identity.kind() == FileType::RegularFile
        && stat.identity.size < SMALL
        && stat.shares_mount_with(root)
        && std::fs::read(marker).is_ok_and(|held| held.trim_ascii() == build_id.as_bytes())
        && !build_id.is_empty()
}

fn host_signs(root: Option<&RootDir>) -> Vec<String> {
    let mut signs = Vec::new();
    if Path::new("/run/systemd/system").exists() {
        signs.push("`/run/systemd/system` exists".to_owned());
    }
    let kernel = std::fs::read_dir("/boot")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .find(|entry| is_kernel_name(entry.file_name().as_encoded_bytes()));
    if let Some(kernel) = kernel {
        signs.push(format!("`{}` is a kernel", kernel.path().display()));
    }
    let release = rustix::system::uname();
    let modules = format!("/lib/modules/{}", release.release().to_string_lossy());
    let is_on_root = match (root, disk::stat_at(rustix::fs::CWD, modules.as_bytes())) {
        (Some(root), Ok(stat)) => stat.shares_mount_with(root.stat()),
        (None, Ok(_)) => true,
        (_, Err(_)) => false,
    };
    if is_on_root {
        signs.push(format!(
            "`{modules}` holds the modules of the running kernel"
        ));
    }
    signs
}

fn is_kernel_name(name: &[u8]) -> bool {
    [&b"vmlinuz"[..], b"vmlinux", b"bzImage", b"Image"]
        .iter()
        .any(|kernel| name.starts_with(kernel))
}

/// Hostile-input rule § 2.3: a regular file of this user on the root mount, which holds the id of this boot.
pub(super) fn boot_marker(root: &RootDir, boot_id: Option<&[u8]>) -> BootMarker {
    let Ok(path) = ImagePath::parse(PER_BOOT_MARKER.as_bytes()) else {
        return BootMarker::Absent;
    };
    let Ok(stat) = disk::stat_at(root.as_fd(), path.as_relative()) else {
        return BootMarker::Absent;
    };
    if stat.identity.kind() != FileType::RegularFile {
        return BootMarker::Rejected("it is not a regular file");
    }
    if !stat.shares_mount_with(root.stat()) {
        return BootMarker::Rejected("it is not on the mount of the root");
    }
    if stat.identity.uid != rustix::process::geteuid().as_raw() {
        return BootMarker::Rejected("it belongs to another user");
    }
    let held = root.read_small(&path, SMALL).ok().flatten();
    match (held, boot_id) {
        (Some(held), Some(boot_id)) if held.trim_ascii() == boot_id.trim_ascii() => {
            BootMarker::Valid
        }
        (_, None) => BootMarker::Rejected("the id of this boot cannot be read"),
        (_, Some(_)) => BootMarker::Rejected("it is of another boot"),
    }
}
