//! `/proc`, `/sys` and `/dev` of the new root.

use super::mounts::{attach, copy, create, open_place};
use crate::Error;
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

const RDONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;
const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
const NOEXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;

/// Device nodes that every container has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Symbolic links in `/dev`.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Settings of the kernel that belong to the host: root of the host may write them without any
/// capability (`/proc/sys/kernel/core_pattern` names a program that the host runs).
const READ_ONLY: [&str; 5] = [
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
];

/// What tells of the host's memory, keys and hardware. That something is hidden here also keeps
/// a nested user namespace from mounting a `/proc` without these covers.
const HIDDEN: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Sandbox { what, source }
}

/// Mounts all of them in `root`, whose directories of these names exist.
pub(super) fn mount_all(root: &OwnedFd) -> Result<(), Error> {
    mount_dev(root)?;
    // After /dev, of which hidden files need a device.
    create("proc", &[], NOSUID | NODEV | NOEXEC)
        .and_then(|tree| attach(&tree, root, Path::new("/proc")))
        .map_err(failed("mount /proc"))?;
    // A user may mount it only together with a network namespace of his own.
    let sys = create("sysfs", &[], RDONLY | NOSUID | NODEV | NOEXEC);
    match sys.and_then(|tree| attach(&tree, root, Path::new("/sys"))) {
        Ok(()) => {}
        Err(error) => tracing::debug!(%error, "no /sys in the sandbox"),
    }
    cover_settings(root)
}

/// Makes settings read-only and puts empty things over what is to be hidden.
fn cover_settings(root: &OwnedFd) -> Result<(), Error> {
    for path in READ_ONLY {
        if open_place(root, Path::new(path)).is_ok() {
            let tree = copy_of_place(root, path, RDONLY | NOSUID | NODEV | NOEXEC);
            let done = tree.and_then(|tree| attach(&tree, root, Path::new(path)));
            done.map_err(failed(format!("make {path} read-only")))?;
        }
    }
    for path in HIDDEN {
        let Ok(place) = open_place(root, Path::new(path)) else {
            continue;
        };
        let directory = rustix::fs::fstat(&place)
            .map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
            .map_err(|errno| failed(format!("look at {path}"))(errno.into()))?;
        let cover = if directory {
            create(
                "tmpfs",
                &[("size", "0"), ("nr_inodes", "1"), ("mode", "0555")],
                RDONLY | NOSUID | NODEV | NOEXEC,
            )
        } else {
            copy(Path::new("/dev/null"), RDONLY | NOSUID | NOEXEC)
        };
        let done = cover.and_then(|cover| attach(&cover, root, Path::new(path)));
        done.map_err(failed(format!("hide {path}")))?;
    }
    Ok(())
}

/// A copy of a mount of the new root itself.
fn copy_of_place(root: &OwnedFd, path: &str, attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let place = open_place(root, Path::new(path))?;
    copy(
        Path::new(&format!("/proc/self/fd/{}", place.as_raw_fd())),
        attributes,
    )
}

fn mount_dev(root: &OwnedFd) -> Result<(), Error> {
    // Not noexec: a RUN with a heredoc and an interpreter line is a file in /dev/pipes.
    // nodev: root may make nodes of any device, and must not be able to open them.
    create(
        "tmpfs",
        &[("mode", "0755"), ("size", "64m")],
        NOSUID | NODEV,
    )
    .and_then(|tree| attach(&tree, root, Path::new("/dev")))
    .map_err(failed("mount /dev"))?;
    let dev = rustix::fs::openat(
        root,
        "dev",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| failed("open the new /dev")(errno.into()))?;
    for device in DEVICES {
        place_device(root, &dev, device).map_err(failed(format!("bind /dev/{device}")))?;
    }
    for (link, target) in LINKS {
        rustix::fs::symlinkat(target, &dev, link)
            .map_err(|errno| failed(format!("link /dev/{link}"))(errno.into()))?;
    }
    for directory in ["shm", "pts"] {
        rustix::fs::mkdirat(&dev, directory, Mode::from_bits_truncate(0o755))
            .map_err(|errno| failed(format!("make /dev/{directory}"))(errno.into()))?;
    }
    // 64 MiB as BuildKit gives (Dockerfile spec §5.2).
    create(
        "tmpfs",
        &[("mode", "1777"), ("size", "64m")],
        NOSUID | NODEV | NOEXEC,
    )
    .and_then(|tree| attach(&tree, root, Path::new("/dev/shm")))
    .map_err(failed("mount /dev/shm"))?;
    mount_terminals(root);
    Ok(())
}

/// The host's node, through a mount that is read-only: that forbids changing its mode and owner,
/// which are the host's, and not writing to the device.
fn place_device(root: &OwnedFd, dev: &OwnedFd, device: &str) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    drop(rustix::fs::openat(
        dev,
        device,
        flags,
        Mode::from_bits_truncate(0o644),
    )?);
    let path = Path::new("/dev").join(device);
    attach(&copy(&path, RDONLY | NOSUID | NOEXEC)?, root, &path)
}

/// Pseudo-terminals: few builds need them, and not every kernel lets a user mount them.
fn mount_terminals(root: &OwnedFd) {
    let common = [("mode", "0620"), ("ptmxmode", "0666")];
    let with_group = [("mode", "0620"), ("ptmxmode", "0666"), ("gid", "5")];
    let tree = create("devpts", &with_group, NOSUID | NOEXEC)
        // Where group 5 (tty) does not exist.
        .or_else(|_| create("devpts", &common, NOSUID | NOEXEC));
    if let Err(error) = tree.and_then(|tree| attach(&tree, root, Path::new("/dev/pts"))) {
        tracing::debug!(%error, "no pseudo-terminals in the sandbox");
    }
}
