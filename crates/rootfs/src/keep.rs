use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use kigumi_layer::{ImagePath, Kind, Metadata, Origin, Tree};
use rustix::fs::{AtFlags, FileType, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::disk::{self, Stat};
use crate::root_dir;
use crate::unpack::{Refused, attributes};
use crate::{Error, Exclusions, RootDir, WritableRoot};

/// Moves what later stages need out of a root that is going to be wiped.
///
/// By rename wherever the kernel lets it: a directory that overlayfs has in a lower layer cannot be renamed, but what is in it can. Only what lies on
/// another filesystem than `into` is copied.
#[derive(Debug)]
pub struct Keeper<'a> {
    root: &'a WritableRoot,
    exclusions: &'a Exclusions,
    into: &'a RootDir,
    /// Where files with several names were copied to, by their inode.
    copied: HashMap<(u64, u64), ImagePath>,
}

/// How something was kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// By rename; nothing was copied.
    Moved,
    /// Some files were copied, because they lie on another filesystem.
    Copied,
    /// It is not on the disk of the root: excluded, virtual, or kept already.
    Absent,
}

/// What is left to do for one path.
enum Task {
    Move(ImagePath),
    /// Everything in the directory was moved: give its likeness owner, mode and time.
    Dress(ImagePath, Metadata),
}

impl<'a> Keeper<'a> {
    /// Keeps into the directory `into`, which must lie outside the root or be excluded there, under the paths that the files have now.
    pub fn new(root: &'a WritableRoot, exclusions: &'a Exclusions, into: &'a RootDir) -> Self {
        root.forget(&ImagePath::root());
        Self {
            root,
            exclusions,
            into,
            copied: HashMap::new(),
        }
    }

    /// Moves one file, or a directory with all below it that is not excluded. Everything is preserved; hard links between what is moved stay links.
    ///
    /// # Errors
    /// [`Error`] with the file that could not be moved.
    pub fn move_out(&mut self, path: &ImagePath) -> Result<Kept, Error> {
        let mut kept = Kept::Absent;
        let mut tasks = vec![Task::Move(path.clone())];
        while let Some(task) = tasks.pop() {
            match task {
                Task::Move(path) => match self.step(&path, &mut tasks)? {
                    Kept::Copied => kept = Kept::Copied,
                    Kept::Moved if kept == Kept::Absent => kept = Kept::Moved,
                    Kept::Moved | Kept::Absent => {}
                },
                Task::Dress(path, metadata) => self.dress(&path, &metadata)?,
            }
        }
        Ok(kept)
    }

    /// Tells a tree of the stage where its files are now: those at `path` and below that were live are in `store`.
    pub fn relocate(tree: &mut Tree, path: &ImagePath, store: u32) {
        let moved: Vec<_> = tree.walk_below(path).collect();
        for (path, id) in moved {
            if let Kind::File(content) = &mut tree.node_mut(id).kind
                && content.origin == Origin::Live
            {
                content.origin = Origin::Stored {
                    store,
                    path: Arc::from(path.as_relative()),
                };
            }
        }
    }

    fn step(&mut self, path: &ImagePath, tasks: &mut Vec<Task>) -> Result<Kept, Error> {
        if self.exclusions.is_excluded(path) {
            return Ok(Kept::Absent);
        }
        let failed = |source: Errno| Error::file("keep", path, source);
        let Some(name) = path.file_name() else {
            return self.each_entry(path, *self.root.stat(), tasks);
        };
        let parent = match self.root.parent(path) {
            Ok(parent) => parent,
            Err(error) if root_dir::is_absent(error) || error == Errno::XDEV => {
                return Ok(Kept::Absent);
            }
            Err(error) => return Err(failed(error)),
        };
        let stat = match disk::stat_at(&*parent, name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Kept::Absent),
            Err(error) => return Err(failed(error)),
        };
        if self.exclusions.guards(&stat) || stat.identity.kind() == FileType::Socket {
            return Ok(Kept::Absent);
        }
        let target = self.make_parents(path)?;
        if !self.exclusions.is_pinned(path) {
            let flags = RenameFlags::NOREPLACE;
            match rename(&parent, &target, name, flags) {
                Ok(()) => {
                    self.root.forget(path);
                    return Ok(Kept::Moved);
                }
                Err(Errno::XDEV | Errno::EXIST | Errno::NOTEMPTY | Errno::BUSY) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if stat.is_directory() {
            return self.each_entry(path, stat, tasks);
        }
        self.copy(path, (&parent, &target), &stat)
            .map(|()| Kept::Copied)
    }

    /// Makes the likeness of a directory that cannot be moved as a whole, and asks for all that is in it.
    fn each_entry(
        &mut self,
        path: &ImagePath,
        stat: Stat,
        tasks: &mut Vec<Task>,
    ) -> Result<Kept, Error> {
        let failed = |source: Errno| Error::file("keep directory", path, source);
        let from = match self.root.open_directory(path, OFlags::RDONLY) {
            Ok(from) => from,
            Err(Errno::XDEV) => return Ok(Kept::Absent),
            Err(error) => return Err(failed(error)),
        };
        if let Some(name) = path.file_name() {
            let target = self.make_parents(path)?;
            make_directory(&target, name).map_err(failed)?;
            let xattrs = disk::xattrs_at(&from, b".").map_err(failed)?;
            tasks.push(Task::Dress(path.clone(), metadata_of(&stat, xattrs)));
        }
        for name in disk::names(&from).map_err(failed)? {
            tasks.push(Task::Move(path.join(&name)));
        }
        Ok(Kept::Moved)
    }

    fn dress(&self, path: &ImagePath, metadata: &Metadata) -> Result<(), Error> {
        let failed = |source: Errno| Error::file("keep directory", path, source);
        let fd = self
            .into
            .open_directory(path, OFlags::RDONLY)
            .map_err(failed)?;
        attributes::dress(&fd, metadata, &mut Refused::default()).map_err(failed)?;
        rustix::fs::futimens(&fd, &attributes::times(metadata.mtime)).map_err(failed)
    }

    /// The directory in `into` that corresponds to the one that holds `path`.
    fn make_parents(&self, path: &ImagePath) -> Result<OwnedFd, Error> {
        let parent = path.parent().unwrap_or_default();
        let failed = |source: Errno| Error::file("make a directory to keep", path, source);
        let access = OFlags::RDONLY;
        match self.into.open_directory(&parent, access) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(failed),
        }
        let mut here = self
            .into
            .open_directory(&ImagePath::root(), access)
            .map_err(failed)?;
        for name in parent.components() {
            make_directory(&here, name).map_err(failed)?;
            here = disk::open_at(&here, name, access | OFlags::DIRECTORY).map_err(failed)?;
        }
        Ok(here)
    }

    fn copy(
        &mut self,
        path: &ImagePath,
        (from, to): (&OwnedFd, &OwnedFd),
        stat: &Stat,
    ) -> Result<(), Error> {
        let failed = |source: Errno| Error::file("copy", path, source);
        let name = path.file_name().unwrap_or_default();
        if stat.identity.nlink > 1 {
            if let Some(first) = self.copied.get(&stat.inode()) {
                let holder = self.into.parent(first).map_err(failed)?;
                let first = first.file_name().unwrap_or_default();
                return rustix::fs::linkat(&*holder, first, to, name, AtFlags::empty())
                    .map_err(failed);
            }
            self.copied.insert(stat.inode(), path.clone());
        }
        let xattrs = disk::xattrs_at(from, name).map_err(failed)?;
        let metadata = metadata_of(stat, xattrs);
        match stat.identity.kind() {
            FileType::RegularFile => copy_file(self.root, path, to, name, &metadata),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new()).map_err(failed)?;
                rustix::fs::symlinkat(target, to, name).map_err(failed)?;
                attributes::dress_unopened(to, name, &metadata, false)
                    .map(drop)
                    .map_err(failed)
            }
            // Nobody reads these: what an image says about them is in its tree.
            FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Directory
            | FileType::Unknown => Ok(()),
        }
    }
}

fn rename(from: &OwnedFd, to: &OwnedFd, name: &[u8], flags: RenameFlags) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(from, name, to, name, flags) {
        // Filesystems without this flag; that nothing is in the way was seen just now.
        Err(Errno::INVAL | Errno::NOSYS) if disk::stat_at(to, name).is_err() => {
            rustix::fs::renameat(from, name, to, name)
        }
        other => other,
    }
}

fn make_directory(holder: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::mkdirat(holder, name, rustix::fs::Mode::RWXU) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn copy_file(
    root: &RootDir,
    path: &ImagePath,
    to: &OwnedFd,
    name: &[u8],
    metadata: &Metadata,
) -> Result<(), Error> {
    let mut source = root.open_content(path)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let failed = |source: Errno| Error::file("copy", path, source);
    let fd = rustix::fs::openat(to, name, flags, mode).map_err(failed)?;
    let mut target = std::fs::File::from(fd);
    std::io::copy(&mut source, &mut target).map_err(|source| Error::file("copy", path, source))?;
    attributes::dress(&target, metadata, &mut Refused::default()).map_err(failed)?;
    rustix::fs::futimens(&target, &attributes::times(metadata.mtime)).map_err(failed)
}

fn metadata_of(stat: &Stat, xattrs: kigumi_layer::Xattrs) -> Metadata {
    Metadata {
        mode: stat.identity.permissions(),
        uid: stat.identity.uid,
        gid: stat.identity.gid,
        mtime: stat.identity.mtime,
        xattrs,
    }
}
