//! A tree in the middle of an instruction: what was there, and what the instruction has put so far.
//!
//! Only what an instruction touches is kept, so that a COPY of one file onto a base of a hundred thousand costs one file.

mod emit;

use std::collections::{HashMap, VecDeque};

use kigumi_layer::{Change, Entry, ImagePath, Kind, Metadata, Mode, Timestamp, Tree};

use crate::CopyError;

/// As many links as Linux follows (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// A tree with changes on top. All paths given to it are free of links unless a function says that it follows them.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    base: &'a Tree,
    /// What was put, by number. Numbers stand for inodes: two names with one number are hard links.
    nodes: Vec<Placed>,
    names: HashMap<ImagePath, Name>,
    /// Directories that were replaced, and when: what was below them before is gone. So a replaced directory costs nothing, however much
    /// was in it and however often an archive does it.
    hidden: HashMap<ImagePath, u64>,
    /// Counts the names that were given.
    clock: u64,
}

/// A name of something that was put.
#[derive(Clone, Copy, Debug)]
struct Name {
    number: usize,
    given: u64,
}

#[derive(Debug)]
struct Placed {
    entry: Entry,
    metadata: Metadata,
    /// Where the base has it, if it was put only to be linked to. Its content may be bound to this name
    /// ([`Origin::Live`](kigumi_layer::Origin::Live)), so this is the name that the layer has to list as the file.
    home: Option<ImagePath>,
}

/// What is at a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'t> {
    pub(crate) shape: Shape<'t>,
    pub(crate) metadata: &'t Metadata,
}

/// As much of a kind as decides where things go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape<'t> {
    Directory,
    Symlink(&'t [u8]),
    Other,
}

/// Attributes of directories that have to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewDirectory {
    pub(crate) mode: Mode,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) now: Timestamp,
}

impl NewDirectory {
    fn metadata(self) -> Metadata {
        Metadata {
            uid: self.uid,
            gid: self.gid,
            ..Metadata::root_owned(self.mode, self.now)
        }
    }
}

/// Why a path does not lead where it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Something that is not a directory is used as one.
    NotADirectory(ImagePath),
    /// Too many links.
    Loop,
}

impl Fault {
    pub(crate) fn of_destination(self, written: &str) -> CopyError {
        let written = written.to_owned();
        match self {
            Self::NotADirectory(at) => CopyError::NotADirectory { written, at },
            Self::Loop => CopyError::DestinationLoop { written },
        }
    }
}

/// Why a hard link cannot be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkFault {
    Missing,
    IsDirectory,
}

impl<'a> Target<'a> {
    pub(crate) fn new(base: &'a Tree) -> Self {
        Self {
            base,
            nodes: Vec::new(),
            names: HashMap::new(),
            hidden: HashMap::new(),
            clock: 0,
        }
    }

    /// What is at `path` now.
    pub(crate) fn seen(&self, path: &ImagePath) -> Option<Seen<'_>> {
        if let Some(placed) = self.placed(path) {
            let shape = match &placed.entry {
                Entry::Directory => Shape::Directory,
                Entry::Symlink(target) => Shape::Symlink(target),
                Entry::File(_) | Entry::CharDevice(_) | Entry::BlockDevice(_) | Entry::Fifo => {
                    Shape::Other
                }
            };
            return Some(Seen {
                shape,
                metadata: &placed.metadata,
            });
        }
        if self.is_hidden(path) {
            return None;
        }
        let node = self.base.get(path)?;
        let shape = match &node.kind {
            Kind::Directory(_) => Shape::Directory,
            Kind::Symlink(target) => Shape::Symlink(target),
            Kind::File(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => Shape::Other,
        };
        Some(Seen {
            shape,
            metadata: &node.metadata,
        })
    }

    fn is_directory(&self, path: &ImagePath) -> bool {
        self.seen(path)
            .is_some_and(|seen| seen.shape == Shape::Directory)
    }

    fn placed(&self, path: &ImagePath) -> Option<&Placed> {
        self.nodes.get(self.number(path)?)
    }

    /// The number of what was put at `path` and is still there.
    fn number(&self, path: &ImagePath) -> Option<usize> {
        let name = self.names.get(path)?;
        (!self.is_hidden_since(path, name.given)).then_some(name.number)
    }

    /// Whether what the base has at `path` is gone.
    fn is_hidden(&self, path: &ImagePath) -> bool {
        self.hidden.contains_key(path) || self.is_hidden_since(path, 0)
    }

    /// Whether a directory above `path` was replaced after that time.
    fn is_hidden_since(&self, path: &ImagePath, given: u64) -> bool {
        if self.hidden.is_empty() {
            return false;
        }
        let mut at = path.parent();
        while let Some(directory) = at {
            if self
                .hidden
                .get(&directory)
                .is_some_and(|when| *when >= given)
            {
                return true;
            }
            at = directory.parent();
        }
        false
    }

    /// Where `path` leads when links are followed inside the root, the last component's too (T-COPY-14, T-COPY-16). What does not exist is
    /// appended as it was asked for; so is what a dangling link names.
    ///
    /// The same walk as [`Tree::resolve`], over the base and what lies on it.
    pub(crate) fn follow(&self, path: &ImagePath) -> Result<ImagePath, Fault> {
        let mut todo: VecDeque<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
        let mut at = ImagePath::root();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = at.parent().unwrap_or_default();
                    continue;
                }
                _ => {}
            }
            if self
                .seen(&at)
                .is_some_and(|seen| seen.shape != Shape::Directory)
            {
                return Err(Fault::NotADirectory(at));
            }
            let next = at.join(&name);
            let Some(Shape::Symlink(target)) = self.seen(&next).map(|seen| seen.shape) else {
                at = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Fault::Loop);
            }
            if target.first() == Some(&b'/') {
                at = ImagePath::root();
            }
            for component in target.split(|byte| *byte == b'/').rev() {
                todo.push_front(component.to_vec());
            }
        }
        Ok(at)
    }

    /// As [`Target::follow`], but gives a link in the last component itself.
    pub(crate) fn follow_parents(&self, path: &ImagePath) -> Result<ImagePath, Fault> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(ImagePath::root());
        };
        Ok(self.follow(&parent)?.join(name))
    }

    /// Makes what is missing of the directories that lead to `path` and of `path` itself; existing ones stay as they are.
    pub(crate) fn make_directories(
        &mut self,
        path: &ImagePath,
        new: NewDirectory,
    ) -> Result<(), Fault> {
        if self.is_directory(path) {
            return Ok(());
        }
        let mut at = ImagePath::root();
        for name in path.components() {
            at = at.join(name);
            match self.seen(&at).map(|seen| seen.shape) {
                Some(Shape::Directory) => {}
                Some(Shape::Symlink(_) | Shape::Other) => return Err(Fault::NotADirectory(at)),
                None => {
                    self.name(at.clone(), Entry::Directory, new.metadata());
                }
            }
        }
        Ok(())
    }

    /// Puts something at `path`, whose parent is a directory. A directory over a directory changes its metadata; anything else replaces what
    /// is there, with all that is below it.
    pub(crate) fn put(&mut self, path: &ImagePath, entry: Entry, metadata: Metadata) -> usize {
        if self.is_directory(path) {
            if entry == Entry::Directory {
                return self.name(path.clone(), entry, metadata);
            }
            self.hide(path);
        }
        self.name(path.clone(), entry, metadata)
    }

    /// Gives what was put under `number` one more name.
    pub(crate) fn link(&mut self, path: &ImagePath, number: usize) {
        if self.is_directory(path) {
            self.hide(path);
        }
        self.give(path.clone(), number);
    }

    /// The number of what is at `path`, for a hard link to it. A layer's links may only point into the layer itself, so what the base has is
    /// put again, as it is.
    pub(crate) fn link_target(&mut self, path: &ImagePath) -> Result<usize, LinkFault> {
        if self.is_directory(path) {
            return Err(LinkFault::IsDirectory);
        }
        if let Some(number) = self.number(path) {
            return Ok(number);
        }
        if self.is_hidden(path) {
            return Err(LinkFault::Missing);
        }
        let node = self.base.get(path).ok_or(LinkFault::Missing)?;
        let number = self.name(path.clone(), Entry::of(&node.kind), node.metadata.clone());
        if let Some(placed) = self.nodes.get_mut(number) {
            placed.home = Some(path.clone());
        }
        Ok(number)
    }

    /// Sets the time of an existing directory.
    pub(crate) fn touch_directory(&mut self, path: &ImagePath, mtime: Timestamp) {
        let Some(seen) = self.seen(path) else { return };
        let metadata = Metadata {
            mtime,
            ..seen.metadata.clone()
        };
        self.name(path.clone(), Entry::Directory, metadata);
    }

    fn name(&mut self, path: ImagePath, entry: Entry, metadata: Metadata) -> usize {
        let number = self.nodes.len();
        self.nodes.push(Placed {
            entry,
            metadata,
            home: None,
        });
        self.give(path, number);
        number
    }

    fn give(&mut self, path: ImagePath, number: usize) {
        self.clock += 1;
        let given = self.clock;
        self.names.insert(path, Name { number, given });
    }

    /// Forgets a directory with all that is below it.
    fn hide(&mut self, path: &ImagePath) {
        self.names.remove(path);
        self.hidden.insert(path.clone(), self.clock);
    }

    /// What is different from the base, in the order of a layer.
    pub(crate) fn changes(&self) -> Vec<Change> {
        emit::changes(self)
    }
}
