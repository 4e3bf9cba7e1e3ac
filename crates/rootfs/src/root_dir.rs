use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kigumi_layer::ImagePath;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::Error;
use crate::disk::{self, Stat};

/// How many directories are kept open: neighbours in a layer share their parent, so few are enough.
const PARENTS: usize = 256;

/// A directory of which only what lies inside can be reached: every path is walked from its descriptor, and no link is followed.
#[derive(Debug)]
pub struct RootDir {
    fd: OwnedFd,
    path: PathBuf,
    stat: Stat,
    resolver: Resolver,
    crossing: Crossing,
    parents: Mutex<HashMap<ImagePath, Arc<OwnedFd>>>,
    capacity: usize,
}

/// Who walks a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resolver {
    /// The kernel, in one call. KERNEL(5.6).
    Openat2,
    /// This crate, component by component: for old kernels, gVisor, and seccomp profiles that do not know the call.
    Walk,
}

/// What happens at a mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crossing {
    /// Paths may lead over mounts: a build context may contain volumes.
    Allowed,
    /// `EXDEV`: whoever writes must not.
    Refused,
}

impl RootDir {
    /// Opens a directory of the host for reading.
    ///
    /// # Errors
    /// [`Error::OpenHost`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, Crossing::Allowed, None)
    }

    /// `resolver`: `None` takes what the kernel offers.
    pub(crate) fn open_with(
        path: &Path,
        crossing: Crossing,
        resolver: Option<Resolver>,
    ) -> Result<Self, Error> {
        let host = |source: Errno| Error::OpenHost {
            path: path.to_owned(),
            source: source.into(),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(host)?;
        let stat = disk::stat_of_fd(&fd).map_err(host)?;
        let canonical =
            std::fs::read_link(disk::proc_path(fd.as_fd())).map_err(|source| Error::OpenHost {
                path: path.to_owned(),
                source,
            })?;
        let resolver = resolver.unwrap_or_else(|| available_resolver(&fd));
        Ok(Self {
            fd,
            path: canonical,
            stat,
            resolver,
            crossing,
            parents: Mutex::default(),
            capacity: parent_capacity(),
        })
    }

    /// Where it is on the host.
    pub fn host_path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file for reading, without following links and without changing its access time (T-SNAP-15).
    ///
    /// # Errors
    /// [`Error::File`]; anything but a regular file is refused before it is opened, so that a fifo cannot block (T-BUG-11).
    pub fn open_content(&self, path: &ImagePath) -> Result<File, Error> {
        self.open_regular(path)
            .map(File::from)
            .map_err(|source| Error::file("open", path, source))
    }

    /// The bytes of a small regular file such as `/etc/passwd`; at most `limit` of them. `None` when there is no such file.
    ///
    /// # Errors
    /// [`Error::File`] when it is there and cannot be read.
    pub fn read_small(&self, path: &ImagePath, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let file = match self.open_regular(path) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(source) => return Err(Error::file("open", path, source)),
        };
        let mut bytes = Vec::new();
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::file("read", path, source))?;
        Ok(Some(bytes))
    }

    fn open_regular(&self, path: &ImagePath) -> rustix::io::Result<OwnedFd> {
        let Some(name) = path.file_name() else {
            return Err(Errno::ISDIR);
        };
        let parent = self.parent(path)?;
        let seen = disk::stat_at(&*parent, name)?;
        if seen.identity.kind() != FileType::RegularFile {
            return Err(not_regular(seen.identity.kind()));
        }
        // Should it be swapped for a fifo now, O_NONBLOCK keeps the open from waiting.
        let fd = disk::open_at(&*parent, name, OFlags::RDONLY | OFlags::NONBLOCK)?;
        if disk::stat_of_fd(&fd)?.inode() != seen.inode() {
            return Err(Errno::STALE);
        }
        Ok(fd)
    }

    /// How the root directory itself looked when it was opened.
    pub(crate) fn stat(&self) -> &Stat {
        &self.stat
    }

    /// A directory, opened with `access` (`O_RDONLY` or `O_PATH`).
    pub(crate) fn open_directory(
        &self,
        path: &ImagePath,
        access: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        if path.is_root() {
            return disk::open_at(&self.fd, b".", access | OFlags::DIRECTORY);
        }
        match self.resolver {
            Resolver::Openat2 => open_below(&self.fd, path.as_relative(), access, self.crossing),
            Resolver::Walk => self.walk(path, access),
        }
    }

    fn walk(&self, path: &ImagePath, access: OFlags) -> rustix::io::Result<OwnedFd> {
        let mut here = disk::open_at(&self.fd, b".", OFlags::PATH | OFlags::DIRECTORY)?;
        let mut components = path.components().peekable();
        while let Some(name) = components.next() {
            let access = if components.peek().is_some() {
                OFlags::PATH
            } else {
                access
            };
            here = step(&here, name, access, &self.stat, self.crossing)?;
        }
        Ok(here)
    }

    /// The directory that holds `path`, from the cache if it was used lately.
    pub(crate) fn parent(&self, path: &ImagePath) -> rustix::io::Result<Arc<OwnedFd>> {
        let parent = path.parent().unwrap_or_default();
        if let Some(fd) = self.cache().get(&parent) {
            return Ok(Arc::clone(fd));
        }
        let fd = Arc::new(self.open_directory(&parent, OFlags::PATH)?);
        let mut cache = self.cache();
        if cache.len() >= self.capacity {
            cache.clear();
        }
        cache.insert(parent, Arc::clone(&fd));
        Ok(fd)
    }

    /// Drops the handles of `path` and of all below: it is being replaced or removed.
    pub(crate) fn forget(&self, path: &ImagePath) {
        self.cache().retain(|held, _| !held.starts_with(path));
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<ImagePath, Arc<OwnedFd>>> {
        // A panic while it was held leaves a map of valid handles all the same.
        self.parents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens the directory `path` below `directory` in one call that follows no link.
fn open_below(
    directory: impl AsFd,
    path: &[u8],
    access: OFlags,
    crossing: Crossing,
) -> rustix::io::Result<OwnedFd> {
    let mut resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if crossing == Crossing::Refused {
        resolve |= ResolveFlags::NO_XDEV;
    }
    let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    disk::quietly(flags, |flags| {
        rustix::fs::openat2(&directory, path, flags, Mode::empty(), resolve)
    })
}

/// Opens the directory `name` in `directory`, which lies on the mount of `root`.
pub(crate) fn open_child(
    directory: impl AsFd,
    name: &[u8],
    root: &RootDir,
) -> rustix::io::Result<OwnedFd> {
    match root.resolver {
        Resolver::Openat2 => open_below(directory, name, OFlags::RDONLY, Crossing::Refused),
        Resolver::Walk => step(
            directory,
            name,
            OFlags::RDONLY,
            &root.stat,
            Crossing::Refused,
        ),
    }
}

/// One component of a walk. Hostile-input rule D4: the mount is compared by its id, or by its device where there are no ids.
fn step(
    directory: impl AsFd,
    name: &[u8],
    access: OFlags,
    root: &Stat,
    crossing: Crossing,
) -> rustix::io::Result<OwnedFd> {
    let next = disk::open_at(directory, name, access | OFlags::DIRECTORY)?;
    if crossing == Crossing::Refused && !disk::stat_of_fd(&next)?.shares_mount_with(root) {
        return Err(Errno::XDEV);
    }
    Ok(next)
}

fn available_resolver(root: &OwnedFd) -> Resolver {
    match open_below(root, b".", OFlags::PATH, Crossing::Refused) {
        Ok(_) => Resolver::Openat2,
        // ENOSYS from old kernels and gVisor, EPERM from seccomp profiles; anything else will show again in the walk.
        Err(_) => Resolver::Walk,
    }
}

/// At most a quarter of the descriptors that this process may have.
fn parent_capacity() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let quarter = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit / 4).unwrap_or(usize::MAX)
    });
    PARENTS.min(quarter).max(1)
}

fn not_regular(kind: FileType) -> Errno {
    match kind {
        FileType::Directory => Errno::ISDIR,
        FileType::Symlink => Errno::LOOP,
        FileType::RegularFile
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Errno::INVAL,
    }
}

/// Whether something is not there or not a directory: nothing to do for whoever wants it gone.
pub(crate) fn is_absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}
