use std::os::fd::OwnedFd;

use kigumi_layer::ImagePath;
use rustix::fs::{FileType, OFlags};

use crate::disk::{self, Stat};
use crate::scan::walk::each_file;
use crate::{Error, Exclusions, WritableRoot};

/// Files of fewer bytes are left: most files are small, and most bytes are in large ones.
const LARGE: u64 = 32 * 1024;

/// Cuts the large files of a root to nothing that nobody will ever read again; gives how many bytes they had.
///
/// When a container ends, the kernel writes what its files hold to the disk before it lets go of the filesystem, and everybody waits for that: for the content
/// of a whole image, which is deleted right afterwards. What was not written yet need not be, if it is not there any more.
///
/// Mounts, what is protected and what is excluded stay as they are. Only to be called on a root that was emptied by [`wipe`](crate::wipe()) before: in a file
/// of the container's own image nothing waits to be written, and opening it for writing makes overlayfs copy it.
///
/// # Errors
/// [`Error`] with the directory that could not be looked at.
pub fn abandon(root: &WritableRoot, exclusions: &mut Exclusions) -> Result<u64, Error> {
    exclusions.refresh()?;
    // A RUN may have moved directories whose handles are still held.
    root.forget(&ImagePath::root());
    let cut = each_file(
        root,
        exclusions,
        |directory, (name, stat), bytes: &mut u64| {
            if is_large(stat) && cut(&directory.fd, name, stat).is_ok() {
                *bytes += stat.identity.size;
            }
        },
    )?;
    Ok(cut.into_iter().sum())
}

fn is_large(stat: &Stat) -> bool {
    stat.identity.kind() == FileType::RegularFile && stat.identity.size >= LARGE
}

/// An error costs the time that would have been saved, and nothing else.
fn cut(directory: &OwnedFd, name: &[u8], seen: &Stat) -> rustix::io::Result<()> {
    // Should it be swapped for a fifo now, O_NONBLOCK keeps the open from waiting.
    let fd = disk::open_at(directory, name, OFlags::WRONLY | OFlags::NONBLOCK)?;
    if disk::stat_of_fd(&fd)?.inode() != seen.inode() {
        return Err(rustix::io::Errno::STALE);
    }
    rustix::fs::ftruncate(&fd, 0)
}
