use std::os::fd::{AsFd, OwnedFd};

use kigumi_layer::{ImagePath, Metadata, Mode, Timestamp};
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use crate::disk::{self, Stat};
use crate::root_dir::{self, RootDir};
use crate::scan::walk::each_file;
use crate::unpack::{Refused, attributes};
use crate::{Error, Exclusions, WritableRoot};

/// What a wipe did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Wiped {
    /// How many entries are gone.
    pub removed: u64,
    /// How many were left, because they are excluded or hold what is.
    pub kept: u64,
}

/// Empties the root. Mounts, what is protected, and the directories above both stay. The root directory itself becomes 0755 root:root.
///
/// Reads the mounts anew first (`exclusions.refresh()`, hostile-input rule D3).
///
/// # Errors
/// [`Error`] with the file that could not be removed.
pub fn wipe(root: &WritableRoot, exclusions: &mut Exclusions) -> Result<Wiped, Error> {
    exclusions.refresh()?;
    root.forget(&ImagePath::root());
    let files = remove_files(root, exclusions);
    let mut remover = Remover::new(root, exclusions);
    remover.empty_root()?;
    remover.wiped.removed += files;
    Ok(remover.wiped)
}

/// Removes what is no directory, on several threads: nine tenths of an image, and the kernel takes its time for each. What does not go here, for whatever
/// reason, is left to who comes after, and who says why.
fn remove_files(root: &RootDir, exclusions: &Exclusions) -> u64 {
    let removed = each_file(
        root,
        exclusions,
        |directory, (name, _), removed: &mut u64| {
            let gone = rustix::fs::unlinkat(&directory.fd, name, AtFlags::empty());
            *removed += u64::from(gone.is_ok());
        },
    );
    removed.map_or(0, |counts| counts.into_iter().sum())
}

/// What an image that says nothing about its root directory gets (as [`Tree::new`](kigumi_layer::Tree::new)).
fn reset_root(root: &OwnedFd) -> rustix::io::Result<()> {
    let metadata = Metadata::root_owned(Mode::DIRECTORY, Timestamp::default());
    // As far as this user may: a directory of its own is good enough for tests and sandboxes.
    let mut refused = Refused::default();
    attributes::dress_directory(root, &metadata, &mut refused)?;
    attributes::dress(root, &metadata, &mut refused)
}

/// How often a directory that was emptied may turn out to have new entries before that is an error.
const RETRIES: u32 = 8;

/// Removes directories with all below. Iterative, with one descriptor whatever the depth (D8): it goes down by name and up by `..`, and checks that up
/// is where it came from.
#[derive(Debug)]
pub(crate) struct Remover<'a> {
    root: &'a RootDir,
    exclusions: &'a Exclusions,
    pub(crate) wiped: Wiped,
}

/// A directory between the start and where the remover stands.
struct Frame {
    name: Box<[u8]>,
    inode: (u64, u64),
    /// Directories in it that are still to be removed.
    todo: Vec<Box<[u8]>>,
    /// Its path, while something below it may be excluded by path.
    pinned: Option<ImagePath>,
    /// Whether something in it stays.
    keeps: bool,
    retries: u32,
}

impl<'a> Remover<'a> {
    pub(crate) fn new(root: &'a RootDir, exclusions: &'a Exclusions) -> Self {
        Self {
            root,
            exclusions,
            wiped: Wiped::default(),
        }
    }

    fn empty_root(&mut self) -> Result<(), Error> {
        let path = ImagePath::root();
        let fd = self
            .root
            .open_directory(&path, OFlags::RDONLY)
            .map_err(|source| Error::file("open directory", &path, source))?;
        reset_root(&fd).map_err(|source| Error::file("reset", &path, source))?;
        self.empty(fd, &path).map(drop)
    }

    /// Removes whatever is at `path`, which is `name` in `parent`. What is excluded stays, with the directories above it.
    ///
    /// Returns whether nothing is left.
    pub(crate) fn remove(
        &mut self,
        parent: impl AsFd,
        name: &[u8],
        path: &ImagePath,
    ) -> Result<bool, Error> {
        if self.exclusions.is_excluded(path) {
            self.wiped.kept += 1;
            return Ok(false);
        }
        let failed = |operation| move |source: Errno| Error::file(operation, path, source);
        let stat = match disk::stat_at(&parent, name) {
            Ok(stat) => stat,
            Err(error) if root_dir::is_absent(error) => return Ok(true),
            Err(error) => return Err(failed("look at")(error)),
        };
        if self.exclusions.guards(&stat) {
            self.wiped.kept += 1;
            return Ok(false);
        }
        if !stat.is_directory() {
            return self
                .unlink(&parent, name, AtFlags::empty())
                .map_err(failed("remove"));
        }
        let fd = match root_dir::open_child(&parent, name, self.root) {
            Ok(fd) => fd,
            Err(Errno::XDEV) => {
                self.wiped.kept += 1;
                return Ok(false);
            }
            Err(error) => return Err(failed("open directory")(error)),
        };
        if !self.empty(fd, path)? || self.exclusions.is_anchor(path) {
            self.wiped.kept += 1;
            return Ok(false);
        }
        self.unlink(&parent, name, AtFlags::REMOVEDIR)
            .map_err(failed("remove directory"))
    }

    /// Removes what is in a directory; `true` when it is empty now.
    fn empty(&mut self, start: OwnedFd, path: &ImagePath) -> Result<bool, Error> {
        let failed = |frames: &[Frame], operation| {
            let path = named(path, frames);
            move |source: Errno| Error::file(operation, &path, source)
        };
        let mut frames: Vec<Frame> = Vec::new();
        let pinned = self.exclusions.is_pinned(path).then(|| path.clone());
        let mut here = start;
        let first = self
            .enter(&here, Box::default(), pinned)
            .map_err(failed(&frames, "empty"))?;
        frames.push(first);
        loop {
            let Some(frame) = frames.last_mut() else {
                return Ok(true);
            };
            if let Some(name) = frame.todo.pop() {
                match self.descend(&here, &name, frame.pinned.as_ref()) {
                    Ok(Some((fd, below))) => {
                        here = fd;
                        frames.push(below);
                    }
                    Ok(None) => frame.keeps = true,
                    Err(error) => return Err(failed(&frames, "empty")(error)),
                }
                continue;
            }
            let Some(done) = frames.pop() else {
                return Ok(true);
            };
            let Some(above) = frames.last_mut() else {
                return Ok(!done.keeps);
            };
            here = match ascend(&here, above.inode) {
                Ok(fd) => fd,
                Err(error) => return Err(failed(&frames, "leave a directory of")(error)),
            };
            let is_anchor = done
                .pinned
                .as_ref()
                .is_some_and(|path| self.exclusions.is_anchor(path));
            if done.keeps || is_anchor {
                above.keeps = true;
                self.wiped.kept += 1;
                continue;
            }
            match self.unlink(&here, &done.name, AtFlags::REMOVEDIR) {
                Ok(true) => {}
                Ok(false) => above.keeps = true,
                // Somebody put something into it meanwhile: look again, but not for ever.
                Err(Errno::NOTEMPTY | Errno::EXIST) if above.retries < RETRIES => {
                    above.retries += 1;
                    above.todo.push(done.name);
                }
                Err(error) => {
                    frames.push(done);
                    return Err(failed(&frames, "remove directory")(error));
                }
            }
        }
    }

    /// Steps into the directory `name` of `here`; `None` when it is to stay as it is.
    fn descend(
        &mut self,
        here: &OwnedFd,
        name: &[u8],
        pinned: Option<&ImagePath>,
    ) -> rustix::io::Result<Option<(OwnedFd, Frame)>> {
        let fd = match root_dir::open_child(here, name, self.root) {
            Ok(fd) => fd,
            Err(Errno::XDEV) => {
                self.wiped.kept += 1;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let path = pinned.map(|path| path.join(name));
        let pinned = path.filter(|path| self.exclusions.is_pinned(path));
        self.enter(&fd, name.into(), pinned)
            .map(|frame| Some((fd, frame)))
    }

    /// Removes all but the directories in the directory `here`, and lists those.
    fn enter(
        &mut self,
        here: &OwnedFd,
        name: Box<[u8]>,
        pinned: Option<ImagePath>,
    ) -> rustix::io::Result<Frame> {
        let stat = disk::stat_of_fd(here)?;
        let mut frame = Frame {
            name,
            inode: stat.inode(),
            todo: Vec::new(),
            pinned,
            keeps: false,
            retries: 0,
        };
        for name in disk::names(here)? {
            let stat = match disk::stat_at(here, &name) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            if self.stays(&stat, &name, frame.pinned.as_ref()) {
                self.wiped.kept += 1;
                frame.keeps = true;
            } else if stat.is_directory() {
                frame.todo.push(name);
            } else if !self.unlink(here, &name, AtFlags::empty())? {
                frame.keeps = true;
            }
        }
        Ok(frame)
    }

    fn stays(&self, stat: &Stat, name: &[u8], directory: Option<&ImagePath>) -> bool {
        self.exclusions.guards(stat)
            || directory.is_some_and(|path| self.exclusions.is_excluded(&path.join(name)))
    }

    /// `false` when the kernel says that it is in use: a mount that appeared meanwhile (T-UNPACK-11).
    fn unlink(
        &mut self,
        directory: impl AsFd,
        name: &[u8],
        flags: AtFlags,
    ) -> rustix::io::Result<bool> {
        match rustix::fs::unlinkat(directory, name, flags) {
            Ok(()) | Err(Errno::NOENT) => {
                self.wiped.removed += 1;
                Ok(true)
            }
            Err(Errno::BUSY) => {
                self.wiped.kept += 1;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Opens the directory above `here`, which must be the one that was left: a directory moved away meanwhile does not lead elsewhere.
fn ascend(here: &OwnedFd, expected: (u64, u64)) -> rustix::io::Result<OwnedFd> {
    let above = disk::open_at(here, b"..", OFlags::RDONLY | OFlags::DIRECTORY)?;
    if disk::stat_of_fd(&above)?.inode() != expected {
        return Err(Errno::STALE);
    }
    Ok(above)
}

fn named(start: &ImagePath, frames: &[Frame]) -> ImagePath {
    frames
        .iter()
        .filter(|frame| !frame.name.is_empty())
        .fold(start.clone(), |path, frame| path.join(&frame.name))
}
