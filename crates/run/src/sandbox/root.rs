//! The new root: its files, its mounts, and the step into it.

use super::{Bind, SandboxSpec, filesystems, mounts};
use crate::Error;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    MountAttrFlags, MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount,
};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files that a kubelet mounts.
const HOST_FILES: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// Where the kernel keeps the identity of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Sandbox { what, source }
}

/// Makes the empty directory `root` the root of this process, which must be in mount and process
/// namespaces of its own.
pub(super) fn enter(spec: &SandboxSpec, root: &Path) -> Result<(), Error> {
    // What is mounted here must not appear on the host, nor the other way round.
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|errno| failed("make mounts private")(errno.into()))?;
    let binds = all_binds(&spec.binds);
    let trees = copies(&binds)?;
    mount_bind(root, root).map_err(|errno| failed("bind the new root")(errno.into()))?;
    populate(spec, root, &binds)?;
    let handle = rustix::fs::openat(
        CWD,
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| failed("open the new root")(errno.into()))?;
    // Root inside may make nodes of any device, and must not be able to open them.
    crate::sys::mount_attributes::add(&handle, MountAttrFlags::MOUNT_ATTR_NODEV)
        .map_err(failed("forbid devices in the new root"))?;
    filesystems::mount_all(&handle)?;
    for (tree, bind) in trees.into_iter().zip(&binds) {
        let what = format!(
            "bind `{}` to `{}`",
            bind.host.display(),
            bind.inside.display()
        );
        mounts::attach(&tree, &handle, &bind.inside).map_err(failed(what))?;
    }
    pivot(&handle).map_err(|errno| failed("pivot into the new root")(errno.into()))
}

/// The caller's, and the three files unless the caller has them.
fn all_binds(given: &[Bind]) -> Vec<Bind> {
    let mut binds = given.to_vec();
    for path in HOST_FILES.map(PathBuf::from) {
        if path.exists() && !given.iter().any(|bind| path.starts_with(&bind.inside)) {
            binds.push(Bind {
                host: path.clone(),
                inside: path,
                writable: false,
            });
        }
    }
    binds
}

/// Copies of the host's mounts, made before anything of the sandbox is mounted.
fn copies(binds: &[Bind]) -> Result<Vec<OwnedFd>, Error> {
    let copy = |bind: &Bind| {
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        if !bind.writable {
            attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
        }
        let what = format!("bind `{}`", bind.host.display());
        mounts::copy(&bind.host, attributes).map_err(failed(what))
    };
    binds.iter().map(copy).collect()
}

/// Directories, places for the binds, the executor and the marker. Nothing is mounted below the
/// new root yet, so nothing of the host can be written to.
fn populate(spec: &SandboxSpec, root: &Path, binds: &[Bind]) -> Result<(), Error> {
    for directory in ["proc", "sys", "dev"] {
        fs::create_dir(root.join(directory)).map_err(failed(format!("make /{directory}")))?;
    }
    for bind in binds {
        let what = format!("make a place for `{}`", bind.inside.display());
        make_place(root, bind).map_err(failed(what))?;
    }
    let executor = outside(root, Path::new(SandboxSpec::EXECUTOR));
    executor
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::copy(&spec.executor, &executor))
        .and_then(|_| fs::set_permissions(&executor, fs::Permissions::from_mode(0o755)))
        .map_err(failed("copy the executor"))?;
    let marker = outside(root, Path::new(SandboxSpec::MARKER));
    fs::read(BOOT_ID)
        .and_then(|boot_id| fs::write(marker, boot_id))
        .map_err(failed("mark the root as disposable"))
}

fn make_place(root: &Path, bind: &Bind) -> io::Result<()> {
    let place = outside(root, &bind.inside);
    if fs::metadata(&bind.host)?.is_dir() {
        return fs::create_dir_all(place);
    }
    place.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::File::create(place).map(drop)
}

/// The host's path of a path of the new root.
fn outside(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

/// The old root lands on top of the new one and is taken away: nothing leads to it any more.
fn pivot(root: &OwnedFd) -> Result<(), rustix::io::Errno> {
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}
