//! A directory of the host as a build context.

use std::fs;
use std::io;
use std::path::PathBuf;

use kigumi_dockerfile::ignore::{Patterns, Verdict as Judgement};
use kigumi_layer::{ImagePath, Tree};
use kigumi_rootfs::{Listed, RootDir, Verdict, listing};

use crate::Error;

/// The patterns of the first of these files that exists; none when there is none. A file that exists and cannot be read or understood is an
/// error, because without it secrets might enter an image. See [`ignore_file_candidates`](crate::ignore_file_candidates).
///
/// # Errors
/// [`Error::ReadIgnoreFile`], [`Error::IgnoreFile`].
pub fn read_ignore_file(candidates: &[PathBuf]) -> Result<Patterns, Error> {
    for path in candidates {
        match fs::read(path) {
            Ok(content) => {
                return Patterns::parse_file(&content).map_err(|source| Error::IgnoreFile {
                    path: path.clone(),
                    source,
                });
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(Error::ReadIgnoreFile {
                    path: path.clone(),
                    source,
                });
            }
        }
    }
    Ok(Patterns::default())
}

/// What of a directory belongs to the build context. No file is opened; contents are [`Origin::Stored`](kigumi_layer::Origin::Stored) in
/// `store`. What is ignored is not in the tree, and ignored directories are not walked unless an exception may lead into them (T-IGN-07).
///
/// # Errors
/// [`Error::List`].
pub fn context_tree(directory: &RootDir, ignored: &Patterns, store: u32) -> Result<Tree, Error> {
    let mut walk = IgnoreWalk::new(ignored);
    listing(directory, store, &mut |listed| walk.verdict(listed))
        .map_err(|source| Error::List { source })
}

/// Judges entries in any order. What was said about a directory is kept only while its entries come one after the other: for each
/// directory the ones above it are judged anew.
struct IgnoreWalk<'p> {
    patterns: &'p Patterns,
    /// The directory of the last entry, and what was said about it.
    parent: Option<(ImagePath, Judgement)>,
}

impl<'p> IgnoreWalk<'p> {
    fn new(patterns: &'p Patterns) -> Self {
        Self {
            patterns,
            parent: None,
        }
    }

    fn verdict(&mut self, listed: Listed<'_>) -> Verdict {
        if self.patterns.is_empty() {
            return Verdict::Take;
        }
        self.enter(&listed.path.parent().unwrap_or_default());
        let above = self.parent.as_ref().map(|(_, judgement)| judgement);
        let path = listed.path.as_relative();
        let judgement = self.patterns.judge(path, above);
        if !judgement.is_excluded() {
            Verdict::Take
        } else if listed.is_directory && self.patterns.may_include_below(path, &judgement) {
            Verdict::SkipButDescend
        } else {
            Verdict::Skip
        }
    }

    /// Makes `directory` the one whose entries are judged. Nothing is ever said about the root.
    fn enter(&mut self, directory: &ImagePath) {
        if directory.is_root() {
            self.parent = None;
            return;
        }
        if self
            .parent
            .as_ref()
            .is_some_and(|(path, _)| path == directory)
        {
            return;
        }
        let mut at = ImagePath::root();
        let mut judgement = None;
        for name in directory.components() {
            at = at.join(name);
            judgement = Some(self.patterns.judge(at.as_relative(), judgement.as_ref()));
        }
        self.parent = judgement.map(|judgement| (at, judgement));
    }
}

#[cfg(test)]
mod tests;
