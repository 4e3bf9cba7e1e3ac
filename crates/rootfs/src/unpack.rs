use std::collections::BTreeMap;
use std::io::Read;

use kigumi_layer::{Change, Effect, ImagePath};
use kigumi_oci::Digest;

use crate::{Error, Exclusions, WritableRoot};

/// Why something of the tree is not on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhyVirtual {
    /// The path, or one above it, is a mount or protected.
    Excluded,
    /// A mount or something protected lies below the path, and the entry is not a directory.
    Pinned,
    /// The kernel does not let this user make it.
    Refused,
    /// The directory that should hold it, or the target of the hard link, is not on the disk.
    Detached,
}

/// What an entry on the disk lacks, because the kernel does not let this user set it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Refused {
    /// User and group.
    pub owner: bool,
    /// Permissions.
    pub mode: bool,
    /// Extended attributes, by name.
    pub xattrs: Vec<Box<[u8]>>,
}

/// How far the disk differs from the tree at one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Virtual {
    /// Not on the disk at all, or something else is.
    Absent(WhyVirtual),
    /// On the disk, with something missing.
    Partial(Refused),
}

/// Where the disk is not as the tree says. The tree is right: it is what goes into images.
pub type Virtuals = BTreeMap<ImagePath, Virtual>;

/// What [`Unpacker::apply`] did with an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placement {
    /// It is on the disk as asked, or there was nothing to put.
    Exact,
    /// See [`Virtual`].
    Virtual(Virtual),
}

/// Does on the disk what [`Tree::apply`](kigumi_layer::Tree::apply) did in memory.
#[derive(Debug)]
pub struct Unpacker<'a> {
    _root: &'a WritableRoot,
}

impl<'a> Unpacker<'a> {
    /// Starts with what is virtual already (nothing on an empty root).
    pub fn new(
        _root: &'a WritableRoot,
        _exclusions: &'a Exclusions,
        _virtuals: Virtuals,
    ) -> Self {
        todo!()
    }

    /// Does one change. `effect` is what `Tree::apply` returned for it. `content` are the bytes of a regular file, read to the end even when
    /// the file becomes virtual; their digest is returned, to be stored in the tree's node.
    ///
    /// # Errors
    /// [`Error`] when the disk fails (full, broken), not when it refuses: that gives a [`Virtual`].
    pub fn apply(
        &mut self,
        _change: &Change,
        _effect: &Effect,
        _content: Option<&mut dyn Read>,
    ) -> Result<(Placement, Option<Digest>), Error> {
        todo!()
    }

    /// Sets modes and times of the directories that were written to. Must be called once after the last change.
    ///
    /// # Errors
    /// As [`Unpacker::apply`].
    pub fn finish(self) -> Result<Virtuals, Error> {
        todo!()
    }
}
