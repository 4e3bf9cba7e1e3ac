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

/// Judges the entries of a directory tree, parents before what is below them.
struct IgnoreWalk<'p> {
    patterns: &'p Patterns,
    /// The directories on the way to the current one and what was said about them.
    above: Vec<(ImagePath, Judgement)>,
}

impl<'p> IgnoreWalk<'p> {
    fn new(patterns: &'p Patterns) -> Self {
        Self {
            patterns,
            above: Vec::new(),
        }
    }

    fn verdict(&mut self, listed: Listed<'_>) -> Verdict {
        if self.patterns.is_empty() {
            return Verdict::Take;
        }
        let parent = listed.path.parent().unwrap_or_default();
        while self
            .above
            .pop_if(|(directory, _)| !parent.starts_with(directory))
            .is_some()
        {}
        let judgement = self.patterns.judge(
            listed.path.as_relative(),
            self.above.last().map(|(_, judgement)| judgement),
        );
        let descends = listed.is_directory
            && self
                .patterns
                .may_include_below(listed.path.as_relative(), &judgement);
        let verdict = match (judgement.is_excluded(), descends) {
            (false, _) => Verdict::Take,
            (true, true) => Verdict::SkipButDescend,
            (true, false) => Verdict::Skip,
        };
        if descends {
            self.above.push((listed.path.clone(), judgement));
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
