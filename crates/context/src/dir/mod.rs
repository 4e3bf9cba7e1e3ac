//! What the ignore file leaves of a build context: of a directory of the host, or of files that were fetched.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;

use kigumi_dockerfile::ignore::{Patterns, Verdict as Judgement};
use kigumi_layer::{ImagePath, NodeId, Tree};
use kigumi_rootfs::{Listed, RootDir, Verdict, listing};

use crate::{Error, subdirectory};

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

/// What of a tree belongs to the build context: as [`context_tree`], for files that lie nowhere on the host (K-CTX-05).
///
/// # Errors
/// [`Error::Files`].
pub fn without_ignored(tree: &Tree, ignored: &Patterns) -> Result<Tree, Error> {
    let mut walk = IgnoreWalk::new(ignored);
    let mut kept = Kept {
        all: tree,
        tree: Tree::new(),
        names: HashMap::new(),
        undecided: BTreeMap::new(),
    };
    kept.put(tree.root(), ImagePath::root())?;
    let mut pending = vec![(ImagePath::root(), tree.root())];
    while let Some((directory, id)) = pending.pop() {
        for (name, child) in tree.children(id) {
            let path = directory.join(name);
            let is_directory = tree.node(child).is_directory();
            let verdict = walk.verdict(Listed {
                path: &path,
                is_directory,
            });
            match verdict {
                Verdict::Skip => continue,
                Verdict::SkipButDescend => drop(kept.undecided.insert(path.clone(), child)),
                Verdict::Take => kept.take(child, &path)?,
            }
            if is_directory {
                pending.push((path, child));
            }
        }
    }
    Ok(kept.tree)
}

/// What is left of a tree so far.
struct Kept<'t> {
    all: &'t Tree,
    tree: Tree,
    /// First names of nodes that have several.
    names: HashMap<NodeId, ImagePath>,
    /// Directories that are kept when something below is.
    undecided: BTreeMap<ImagePath, NodeId>,
}

impl Kept<'_> {
    fn take(&mut self, id: NodeId, path: &ImagePath) -> Result<(), Error> {
        let mut above = Vec::new();
        let mut parent = path.parent();
        while let Some(directory) = parent.filter(|_| !self.undecided.is_empty()) {
            parent = directory.parent();
            above.extend(self.undecided.remove_entry(&directory));
        }
        for (directory, id) in above.into_iter().rev() {
            self.put(id, directory)?;
        }
        self.put(id, path.clone())
    }

    fn put(&mut self, id: NodeId, path: ImagePath) -> Result<(), Error> {
        let change = subdirectory::copied(self.all, id, path, &mut self.names);
        let done = self.tree.apply(change).map(drop);
        done.map_err(|source| Error::Files { source })
    }
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
