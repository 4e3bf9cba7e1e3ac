use kigumi_layer::{ImagePath, Tree};
use kigumi_oci::Digest;

use crate::{Error, Exclusions, RootDir, Virtuals};

/// The tree as last seen on the disk, and what tells whether a file is still the one that was seen.
#[derive(Debug)]
pub struct Index {}

impl Index {
    /// The first look after unpacking: `tree` is what should be there, `virtuals` what of it is not. Files that are on the disk get
    /// [`Origin::Live`](kigumi_layer::Origin::Live).
    ///
    /// # Errors
    /// [`Error`] with the file that is missing or could not be looked at.
    pub fn record(
        _root: &RootDir,
        _exclusions: &Exclusions,
        _tree: Tree,
        _virtuals: Virtuals,
    ) -> Result<Self, Error> {
        todo!()
    }

    /// Waits, at most two clock ticks, until a change would get another change time than anything recorded. To be called before a
    /// process is let at the root.
    ///
    /// # Errors
    /// [`Error`] when the root cannot be looked at.
    pub fn settle(&mut self, _root: &RootDir) -> Result<(), Error> {
        todo!()
    }

    /// The tree as last seen.
    pub fn tree(&self) -> &Tree {
        todo!()
    }

    /// Looks at the disk again. Afterwards [`Index::tree`] is what is there now; returned is the tree as it was before, so that
    /// `diff(&before, index.tree())` is the layer.
    ///
    /// # Errors
    /// [`Error`] with the file that could not be looked at.
    pub fn scan(&mut self, _root: &RootDir, _exclusions: &Exclusions) -> Result<Tree, Error> {
        todo!()
    }

    /// Tells the digest of a file whose bytes somebody has read since the last scan (the layer writer), so that a later change of its change time alone is
    /// not taken for a change of content.
    pub fn learn(&mut self, _path: &ImagePath, _digest: Digest) {
        todo!()
    }

    /// Gives the tree and what is not on the disk back, to apply further changes to both with an [`Unpacker`](crate::Unpacker) that continues
    /// from these virtuals, and to be recorded again.
    pub fn into_parts(self) -> (Tree, Virtuals) {
        todo!()
    }
}
