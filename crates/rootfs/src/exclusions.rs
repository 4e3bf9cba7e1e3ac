use std::path::PathBuf;

use kigumi_layer::ImagePath;

use crate::{Error, RootDir};

/// What the caller wants left alone, besides mounts.
#[derive(Clone, Default, Debug)]
pub struct Protection {
    /// Files and directories of ours, by their paths on the host: the executor's directories, work directory, context, Docker
    /// configuration, cache, output files. What does not exist or lies outside the root needs no protection and is passed over.
    pub ours: Vec<PathBuf>,
    /// What `--ignore-path` names.
    pub ignored: Vec<ImagePath>,
}

/// Which paths of a root belong to somebody else.
#[derive(Debug)]
pub struct Exclusions {}

impl Exclusions {
    /// Reads the mounts below `root` and finds what is protected there.
    ///
    /// # Errors
    /// When the mounts cannot be read, or a protected path exists and cannot be looked at.
    pub fn new(_root: &RootDir, _protection: &Protection) -> Result<Self, Error> {
        todo!()
    }

    /// Reads the mounts anew, and follows protected directories that were renamed.
    ///
    /// # Errors
    /// As [`Exclusions::new`].
    pub fn refresh(&mut self) -> Result<(), Error> {
        todo!()
    }

    /// Whether `path` or a directory above it is excluded: never in a layer, never whited out, never written or removed.
    pub fn is_excluded(&self, _path: &ImagePath) -> bool {
        todo!()
    }

    /// Whether something below `path` is excluded, so that it may not be removed, renamed or replaced by another type.
    pub fn is_pinned(&self, _path: &ImagePath) -> bool {
        todo!()
    }

    /// The topmost excluded paths.
    pub fn iter(&self) -> impl Iterator<Item = &ImagePath> {
        std::iter::empty()
    }
}
