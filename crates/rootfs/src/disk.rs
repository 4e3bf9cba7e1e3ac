//! What a directory handle says about entries: the only place that asks the kernel about files.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use kigumi_layer::{ContentIdentity, Device, Mode, Timestamp, Xattrs};
use rustix::fs::{AtFlags, FileType, OFlags, RawDir, Statx, StatxFlags};
use rustix::io::{Errno, Result};

/// What makes a file the one that was seen before: no process can set the change time.
///
/// Packed: one is kept for every file of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, packed(4))]
pub(crate) struct Identity {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) ctime: Timestamp,
    pub(crate) mtime: Timestamp,
    pub(crate) size: u64,
    /// Type and permissions.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) nlink: u32,
    /// When it was made, where the filesystem says: inode numbers are used again at once.
    pub(crate) btime: Option<Timestamp>,
}

impl Identity {
    pub(crate) fn inode(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Whether both are one inode, whatever happened to it in between.
    pub(crate) fn is_same_inode(&self, other: &Self) -> bool {
        self.inode() == other.inode() && self.btime == other.btime && self.kind() == other.kind()
    }

    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode.into())
    }

    pub(crate) fn permissions(&self) -> Mode {
        Mode::new(self.mode.into())
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }
}

/// One entry as `statx` sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) identity: Identity,
    pub(crate) device: Device,
    /// The mount it is on. KERNEL(5.8): `None` before.
    pub(crate) mount: Option<u64>,
}

impl Stat {
    pub(crate) fn inode(&self) -> (u64, u64) {
        self.identity.inode()
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.identity.is_directory()
    }

    /// Whether both are on one mount, as far as this kernel tells.
    pub(crate) fn shares_mount_with(&self, other: &Self) -> bool {
        match (self.mount, other.mount) {
            (Some(mine), Some(theirs)) => mine == theirs,
            // Without ids only directories can be told by their device: on overlayfs, files keep that of the layer they come from.
            (None, _) | (_, None) => {
                !self.is_directory() || self.identity.dev == other.identity.dev
            }
        }
    }
}

/// Looks at an entry; a link in the last component is not followed, an automount not triggered.
pub(crate) fn stat_at(directory: impl AsFd, name: &[u8]) -> Result<Stat> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
    rustix::fs::statx(directory, name, flags, wanted).map(|found| stat_of(&found))
}

/// Looks at what a descriptor leads to.
pub(crate) fn stat_of_fd(fd: impl AsFd) -> Result<Stat> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
    rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, wanted).map(|found| stat_of(&found))
}

fn stat_of(found: &Statx) -> Stat {
    let time = |time: rustix::fs::StatxTimestamp| Timestamp {
        seconds: time.tv_sec,
        nanoseconds: time.tv_nsec,
    };
    let has = |field: StatxFlags| found.stx_mask & field.bits() != 0;
    Stat {
        identity: Identity {
            dev: u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
            ino: found.stx_ino,
            ctime: time(found.stx_ctime),
            mtime: time(found.stx_mtime),
            size: found.stx_size,
            mode: found.stx_mode,
            uid: found.stx_uid,
            gid: found.stx_gid,
            nlink: found.stx_nlink,
            btime: has(StatxFlags::BTIME).then(|| time(found.stx_btime)),
        },
        device: Device {
            major: found.stx_rdev_major,
            minor: found.stx_rdev_minor,
        },
        mount: has(StatxFlags::MNT_ID).then_some(found.stx_mnt_id),
    }
}

/// Room for what one `getdents` returns: about a thousand names.
const LISTING_BUFFER: usize = 32 * 1024;

/// Room to list directories with, one after the other. It is made when the first is listed.
#[derive(Default)]
pub(crate) struct ListingBuffer(Vec<MaybeUninit<u8>>);

/// The names in a directory, in the order of the kernel. The descriptor must be open for reading.
pub(crate) fn names(directory: impl AsFd) -> Result<Vec<Box<[u8]>>> {
    let mut names = Vec::new();
    let mut buffer = ListingBuffer::default();
    each_name(directory, &mut buffer, |name| names.push(name.into()))?;
    Ok(names)
}

/// As [`names`], one after the other.
pub(crate) fn each_name(
    directory: impl AsFd,
    ListingBuffer(buffer): &mut ListingBuffer,
    mut take: impl FnMut(&[u8]),
) -> Result<()> {
    buffer.resize(LISTING_BUFFER, MaybeUninit::uninit());
    let mut listing = RawDir::new(directory, buffer);
    while let Some(entry) = listing.next() {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => take(name),
        }
    }
    Ok(())
}

/// Opens an entry itself and never what it links to, without changing its access time where that is allowed (T-SNAP-15).
pub(crate) fn open_at(directory: impl AsFd, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let open = |flags| rustix::fs::openat(&directory, name, flags, rustix::fs::Mode::empty());
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    quietly(flags, open)
}

/// Opens without changing the access time, unless that is refused: only the owner may.
pub(crate) fn quietly(flags: OFlags, open: impl Fn(OFlags) -> Result<OwnedFd>) -> Result<OwnedFd> {
    if flags.contains(OFlags::PATH) {
        return open(flags);
    }
    match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        other => other,
    }
}

/// A name of an open file for the calls that want one. The kernel goes from here straight to the file, whatever has happened to its
/// path, and does not follow it when it is a link.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Attributes that describe this machine or its storage driver and not the file.
pub(crate) fn is_foreign_attribute(name: &[u8]) -> bool {
    name == b"security.selinux"
        || name == b"security.ima"
        || name == b"security.evm"
        || name == b"system.nfs4_acl"
        || name.starts_with(b"trusted.overlay.")
        || name.starts_with(b"user.overlay.")
}

/// The attributes of an entry, those of the machine left out. Works for every type, because nothing is opened for reading.
pub(crate) fn xattrs_at(directory: impl AsFd, name: &[u8]) -> Result<Xattrs> {
    let handle = open_at(directory, name, OFlags::PATH)?;
    xattrs_of(handle.as_fd())
}

/// As [`xattrs_at`], of an open descriptor of any kind.
pub(crate) fn xattrs_of(handle: BorrowedFd<'_>) -> Result<Xattrs> {
    let path = proc_path(handle);
    let mut found = Xattrs::default();
    for name in attribute_names(&path)? {
        if is_foreign_attribute(&name) {
            continue;
        }
        match attribute(&path, &name) {
            Ok(value) => found.insert(&name, &value),
            // Names that only privileged users may read (trusted.*) are listed to them alone, but some filesystems are less exact.
            Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn attribute_names(path: &str) -> Result<Vec<Box<[u8]>>> {
    let list = match grow(|buffer| rustix::fs::listxattr(path, buffer)) {
        Ok(list) => list,
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(Into::into)
        .collect())
}

fn attribute(path: &str, name: &[u8]) -> Result<Vec<u8>> {
    grow(|buffer| rustix::fs::getxattr(path, name, buffer))
}

/// Calls with growing buffers until the answer fits; 64 KiB is the most the kernel gives.
fn grow(mut call: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut size = 256;
    loop {
        let mut buffer = vec![0; size];
        match call(&mut buffer) {
            Ok(count) => {
                buffer.truncate(count);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if size < 64 * 1024 => size *= 4,
            Err(error) => return Err(error),
        }
    }
}

/// An identity that no other content has. One counter for the process: trees of different makers are compared with each other.
pub(crate) fn unique_content() -> ContentIdentity {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    ContentIdentity::Unique(NEXT.fetch_add(1, Ordering::Relaxed))
}
