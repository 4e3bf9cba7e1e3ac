use kigumi_layer::{ImagePath, Tree};

use crate::{Error, RootDir};

/// What is known of an entry when the filter is asked.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// Its path below the listed directory.
    pub path: &'a ImagePath,
    /// Whether it is a directory (a link to one is not).
    pub is_directory: bool,
}

/// What becomes of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is in the tree; of a directory, what lies below is asked for.
    Take,
    /// It is not in the tree, and nothing below it is looked at.
    Skip,
    /// A directory that is in the tree only if something below it is.
    SkipButDescend,
}

/// A directory of the host as a tree. No file is opened: contents are [`Origin::Stored`](kigumi_layer::Origin::Stored) in `store`, each
/// equal only to itself. Sockets become empty files, as BuildKit does; fifos and devices stay what they are.
///
/// # Errors
/// [`Error`] with the file that could not be looked at.
pub fn listing(
    _directory: &RootDir,
    _store: u32,
    _filter: &mut dyn FnMut(Listed<'_>) -> Verdict,
) -> Result<Tree, Error> {
    todo!()
}
