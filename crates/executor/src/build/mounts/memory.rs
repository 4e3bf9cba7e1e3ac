use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, Mode, OFlags};
use tempfile::TempDir;

/// As much memory as is spent, for the time of a step, to leave no more than was asked for.
const MOST_BALLAST: u64 = 256 << 20;

/// A directory on a filesystem in memory on which there is room for so many bytes and no more.
///
/// Without mount rights there is one such filesystem, of a given size: a file without a name takes up what is too much of it. The limit holds for
/// everything on it, so the process has no more in `/dev/shm` either.
#[derive(Debug)]
pub(super) struct Limited {
    directory: TempDir,
    /// Holds the room; the kernel frees it with the descriptor.
    _ballast: File,
}

impl Limited {
    /// `None` where that cannot be done: not in memory, no room, or far too much of it.
    pub(super) fn new(filesystem: &Path, size: u64) -> Option<Self> {
        if !is_in_memory(filesystem) {
            return None;
        }
        let directory = tempfile::Builder::new()
            .prefix(".kigumi-tmpfs-")
            .permissions(Permissions::from_mode(0o1777))
            .tempdir_in(filesystem)
            .ok()?;
        // The umask has taken something of it.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).ok()?;
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let ballast = rustix::fs::open(filesystem, flags, Mode::RUSR | Mode::WUSR).ok()?;
        let found = rustix::fs::statvfs(filesystem).ok()?;
        let too_much = excess(found.f_bavail.checked_mul(found.f_frsize)?, size)?;
        if too_much > 0 {
            rustix::fs::fallocate(&ballast, FallocateFlags::empty(), 0, too_much).ok()?;
        }
        Some(Self {
            directory,
            _ballast: ballast.into(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Whether a directory is on a tmpfs.
pub(super) fn is_in_memory(path: &Path) -> bool {
    let magic = rustix::fs::statfs(path).map(|found| found.f_type);
    magic.is_ok_and(|magic| magic == TMPFS_MAGIC)
}

/// statfs(2).
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// How much of the free room has to be taken up; `None` if there is less than asked for, or too much to take.
fn excess(free: u64, size: u64) -> Option<u64> {
    free.checked_sub(size)
        .filter(|excess| *excess <= MOST_BALLAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_taken_up_as_is_too_much() {
        let table = [
            (64 << 20, 1 << 20, Some(63 << 20)),
            (1 << 20, 1 << 20, Some(0)),
            (1 << 20, 2 << 20, None),
            (1 << 40, 1 << 20, None),
        ];
        for (free, size, expected) in table {
            assert_eq!(excess(free, size), expected, "{free} {size}");
        }
    }
}
