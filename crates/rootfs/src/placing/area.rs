//! Where things are made before they are placed, and where others wait meanwhile.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use kigumi_layer::{ImagePath, Metadata, Timestamp};
use rustix::fs::{AtFlags, OFlags};
use rustix::io::{Errno, Result};

use super::{Item, Stand, rename};
use crate::root_dir::Crossing;
use crate::unpack::{Refused, attributes};
use crate::wipe::Remover;
use crate::{Error, Exclusions, Protection, RootDir, disk};

/// A directory of ours on one filesystem.
#[derive(Debug)]
pub(super) struct Area {
    pub(super) root: RootDir,
    /// Where it was made, and its name there.
    made_in: (OwnedFd, Box<[u8]>),
}

/// Something that is to be placed, by its name now.
pub(super) struct Thing {
    pub(super) holder: OwnedFd,
    pub(super) name: Box<[u8]>,
    pub(super) is_directory: bool,
    returns: bool,
}

impl Thing {
    /// Where it has to go back to.
    pub(super) fn home(&self) -> Result<Option<(OwnedFd, Box<[u8]>)>> {
        if !self.returns {
            return Ok(None);
        }
        let holder = self.holder.try_clone().map_err(|_none_left| Errno::MFILE)?;
        Ok(Some((holder, self.name.clone())))
    }
}

/// Numbers the areas of this process: two steps may use one volume at once.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl Area {
    /// A new directory in one of the builder's, or at the top of a volume of the pod. Its name says what it is, should it ever be left over.
    pub(super) fn make_in(point: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let holder = rustix::fs::open(point, flags, rustix::fs::Mode::empty())?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = rustix::process::getpid().as_raw_nonzero();
        let name = format!(".kigumi-aside-{process}-{number}");
        at_its_time(&holder, || {
            rustix::fs::mkdirat(&holder, &*name, rustix::fs::Mode::RWXU)
        })?;
        let root = RootDir::open_with(&point.join(&name), Crossing::Refused, None)
            .map_err(|_unreadable| Errno::IO)?;
        Ok(Self {
            root,
            made_in: (holder, name.into_bytes().into()),
        })
    }

    /// Whether an entry of a directory is this area.
    pub(super) fn is_called(&self, directory: &OwnedFd, name: &[u8]) -> Result<bool> {
        Ok(disk::stat_at(directory, name)?.inode() == self.root.stat().inode())
    }

    /// Makes what shall be placed, under a name of this area; what exists already stays where it is for now.
    pub(super) fn make(&self, item: &Item, name: &[u8]) -> Result<Thing> {
        let here = || disk::open_at(&self.root, b".", OFlags::PATH | OFlags::DIRECTORY);
        let made = |is_directory| {
            Ok(Thing {
                holder: here()?,
                name: name.into(),
                is_directory,
                returns: false,
            })
        };
        match item {
            Item::Directory(stand) => {
                rustix::fs::mkdirat(&self.root, name, rustix::fs::Mode::RWXU)?;
                let fd = disk::open_at(&self.root, name, OFlags::PATH | OFlags::DIRECTORY)?;
                stand_up(&fd, *stand)?;
                made(true)
            }
            Item::File { bytes, stand } => {
                self.file(name, bytes, *stand)?;
                made(false)
            }
            Item::LinkToDirectory(to) => {
                rustix::fs::symlinkat(to, &self.root, name)?;
                made(false)
            }
            Item::Existing { path, returns } => {
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                    return Err(Errno::INVAL);
                };
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let holder = rustix::fs::open(parent, flags, rustix::fs::Mode::empty())?;
                let name: Box<[u8]> = name.as_encoded_bytes().into();
                let stat = disk::stat_at(&holder, &name)?;
                Ok(Thing {
                    holder,
                    name,
                    is_directory: stat.is_directory(),
                    returns: *returns,
                })
            }
        }
    }

    fn file(&self, name: &[u8], bytes: &[u8], stand: Stand) -> Result<()> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let fd = rustix::fs::openat(&self.root, name, flags, mode)?;
        let mut file = std::fs::File::from(fd);
        file.write_all(bytes)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        rustix::fs::fchown(
            &file,
            Some(rustix::fs::Uid::from_raw(stand.uid)),
            Some(rustix::fs::Gid::from_raw(stand.gid)),
        )?;
        rustix::fs::fchmod(&file, attributes::permissions(stand.mode))
    }

    /// Takes something away from where it is; it is deleted with the area.
    pub(super) fn discard(&self, parent: &OwnedFd, name: &[u8]) -> Result<()> {
        static GONE: AtomicU32 = AtomicU32::new(0);
        let number = GONE.fetch_add(1, Ordering::Relaxed);
        let result = rename(
            parent,
            name,
            &self.root,
            format!("gone-{number}").as_bytes(),
        );
        match result {
            // Deleted by the process: nothing is left to take away.
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    /// Deletes all that was made or discarded here, and the area itself.
    pub(super) fn clear(self) -> std::result::Result<(), Error> {
        let root = ImagePath::root();
        let failed = |source: Errno| Error::file("clear what was set aside in", &root, source);
        let exclusions = Exclusions::new(&self.root, &Protection::default())?;
        let mut remover = Remover::new(&self.root, &exclusions);
        let listing =
            disk::open_at(&self.root, b".", OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
        for name in disk::names(&listing).map_err(failed)? {
            remover.remove(&self.root, &name, &root.join(&name))?;
        }
        let (holder, name) = &self.made_in;
        at_its_time(holder, || {
            rustix::fs::unlinkat(holder, &**name, AtFlags::REMOVEDIR)
        })
        .map_err(failed)
    }
}

/// Changes a name in a directory, and leaves its time as it is where that is allowed.
fn at_its_time(directory: &OwnedFd, change: impl Fn() -> Result<()>) -> Result<()> {
    let mtime = disk::stat_of_fd(directory)?.identity.mtime;
    change()?;
    let _refused = super::set_time(directory, mtime);
    Ok(())
}

fn stand_up(directory: &OwnedFd, stand: Stand) -> Result<()> {
    let (uid, gid) = (
        rustix::fs::Uid::from_raw(stand.uid),
        rustix::fs::Gid::from_raw(stand.gid),
    );
    let here = b".".as_slice();
    rustix::fs::chownat(directory, here, Some(uid), Some(gid), AtFlags::empty())?;
    rustix::fs::chmodat(
        directory,
        here,
        attributes::permissions(stand.mode),
        AtFlags::empty(),
    )
}

/// Owner, permissions, attributes and time of a directory.
pub(super) fn metadata_of(directory: &OwnedFd) -> Result<Metadata> {
    let stat = disk::stat_of_fd(directory)?.identity;
    Ok(Metadata {
        mode: stat.permissions(),
        uid: stat.uid,
        gid: stat.gid,
        mtime: stat.mtime,
        xattrs: disk::xattrs_of(directory.as_fd())?,
    })
}

/// Gives a directory owner, permissions and, unless it is zero, time. What the kernel refuses on a volume of the pod is left as it is.
pub(super) fn dress(directory: &OwnedFd, metadata: &Metadata) -> Result<()> {
    let fd = disk::open_at(directory, b".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut refused = Refused::default();
    attributes::dress_directory(&fd, metadata, &mut refused)?;
    attributes::dress(&fd, metadata, &mut refused)?;
    if metadata.mtime == Timestamp::default() {
        return Ok(());
    }
    match rustix::fs::futimens(&fd, &attributes::times(metadata.mtime)) {
        Err(Errno::PERM | Errno::ROFS) => Ok(()),
        other => other,
    }
}
