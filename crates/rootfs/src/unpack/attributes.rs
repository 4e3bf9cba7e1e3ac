//! Owner, permissions, attributes and time of something just made, through its descriptor.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use kigumi_layer::{Metadata, Mode, Timestamp, Xattrs};
use rustix::fs::{AtFlags, Gid, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::{Errno, Result};

use super::virtuals::Refused;
use crate::disk;

/// What the kernel says to a user who may not do what was asked, or on a filesystem that cannot.
fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::ACCESS
    )
}

/// As [`is_refusal`], and what filesystems say to attributes they have no room for.
fn is_xattr_refusal(error: Errno) -> bool {
    is_refusal(error)
        || matches!(
            error,
            Errno::NOSPC | Errno::TOOBIG | Errno::RANGE | Errno::NODATA
        )
}

fn tolerate(result: Result<()>, refusal: impl Fn(Errno) -> bool) -> Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if refusal(error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// All but the time of an open file or directory. In this order: chown clears set-id bits (T-SNAP-18) and file capabilities.
pub(crate) fn dress(fd: impl AsFd, metadata: &Metadata, refused: &mut Refused) -> Result<()> {
    set_owner(&fd, metadata, refused)?;
    set_xattrs(&fd, &metadata.xattrs, refused)?;
    refused.mode |= tolerate(
        rustix::fs::fchmod(fd, permissions(metadata.mode)),
        is_refusal,
    )?;
    Ok(())
}

/// Owner and attributes of a directory that may have others, without its mode: that comes last of all.
pub(crate) fn dress_directory(
    fd: impl AsFd,
    metadata: &Metadata,
    refused: &mut Refused,
) -> Result<()> {
    set_owner(&fd, metadata, refused)?;
    let wanted: BTreeSet<&[u8]> = metadata.xattrs.iter().map(|(name, _)| name).collect();
    for (name, _) in disk::xattrs_of(fd.as_fd())?.iter() {
        if !wanted.contains(name) {
            tolerate(rustix::fs::fremovexattr(&fd, name), is_xattr_refusal)?;
        }
    }
    set_xattrs(&fd, &metadata.xattrs, refused)
}

fn set_owner(fd: impl AsFd, metadata: &Metadata, refused: &mut Refused) -> Result<()> {
    refused.owner |= match owner(metadata) {
        None => true,
        Some((uid, gid)) => tolerate(rustix::fs::fchown(fd, Some(uid), Some(gid)), is_refusal)?,
    };
    Ok(())
}

/// `None` for the number that means "leave it" to the kernel and can own nothing.
fn owner(metadata: &Metadata) -> Option<(Uid, Gid)> {
    if metadata.uid == u32::MAX || metadata.gid == u32::MAX {
        return None;
    }
    Some((Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid)))
}

fn set_xattrs(fd: impl AsFd, xattrs: &Xattrs, refused: &mut Refused) -> Result<()> {
    for (name, value) in xattrs.iter() {
        // What describes the builder's machine is data here: set on this disk it would change how the disk works.
        let is_refused = disk::is_foreign_attribute(name)
            || tolerate(
                rustix::fs::fsetxattr(&fd, name, value, XattrFlags::empty()),
                is_xattr_refusal,
            )?;
        if is_refused {
            refused.xattrs.push(name.into());
        }
    }
    Ok(())
}

/// All but the content of what cannot be opened: links, devices, fifos. `has_mode` is false for links.
pub(crate) fn dress_unopened(
    parent: &OwnedFd,
    name: &[u8],
    metadata: &Metadata,
    has_mode: bool,
) -> Result<Refused> {
    let mut refused = Refused {
        owner: own_unopened(parent, name, metadata)?,
        ..Refused::default()
    };
    // Most are links without attributes: these have no need of a handle.
    if has_mode || !metadata.xattrs.is_empty() {
        let handle = disk::open_at(parent, name, OFlags::PATH)?;
        let path = disk::proc_path(handle.as_fd());
        for (name, value) in metadata.xattrs.iter() {
            let is_refused = disk::is_foreign_attribute(name)
                || tolerate(
                    rustix::fs::setxattr(path.as_str(), name, value, XattrFlags::empty()),
                    is_xattr_refusal,
                )?;
            if is_refused {
                refused.xattrs.push(name.into());
            }
        }
        if has_mode {
            refused.mode = tolerate(
                rustix::fs::chmod(path.as_str(), permissions(metadata.mode)),
                is_refusal,
            )?;
        }
    }
    rustix::fs::utimensat(
        parent,
        name,
        &times(metadata.mtime),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    Ok(refused)
}

/// Sets the owner of what cannot be opened, unless it has it; says whether that was refused.
fn own_unopened(parent: &OwnedFd, name: &[u8], metadata: &Metadata) -> Result<bool> {
    let Some((uid, gid)) = owner(metadata) else {
        return Ok(true);
    };
    let is = disk::stat_at(parent, name)?.identity;
    if (is.uid, is.gid) == (metadata.uid, metadata.gid) {
        return Ok(false);
    }
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let owned = rustix::fs::chownat(parent, name, Some(uid), Some(gid), flags);
    tolerate(owned, is_refusal)
}

pub(crate) fn permissions(mode: Mode) -> rustix::fs::Mode {
    rustix::fs::Mode::from_raw_mode(mode.bits())
}

/// The time of last change; that of last access is nobody's business.
pub(crate) fn times(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanoseconds.into(),
        },
    }
}
