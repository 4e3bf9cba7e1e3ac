use kigumi_layer::ImagePath;

use crate::{Error, Exclusions, RootDir, WritableRoot};

/// Moves what later stages need out of a root that is going to be wiped.
#[derive(Debug)]
pub struct Keeper {}

/// How something was kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// By rename; nothing was copied.
    Moved,
    /// Some files were copied, because they lie on another filesystem.
    Copied,
    /// It is not on the disk.
    Absent,
}

impl Keeper {
    /// Keeps into the directory `into`, which must lie outside the root or be excluded there, under the paths that the files have now.
    pub fn new(_root: &WritableRoot, _exclusions: &Exclusions, _into: &RootDir) -> Self {
        todo!()
    }

    /// Moves one file, or a directory with all below it that is not excluded. Everything is preserved; hard links between what is moved stay links.
    ///
    /// # Errors
    /// [`Error`] with the file that could not be moved.
    pub fn move_out(&mut self, _path: &ImagePath) -> Result<Kept, Error> {
        todo!()
    }
}
