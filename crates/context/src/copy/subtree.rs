//! Copies a directory with everything below it.

use std::collections::HashMap;

use kigumi_dockerfile::ignore::{Patterns, Verdict};
use kigumi_layer::{Entry, ImagePath, NodeId, Tree};

use super::CopyError;
use super::placing::Placing;
use super::selection::has_wildcard;
use crate::target::Shape;

/// What `--parents` picks: a pattern with `**`, from the pivot on.
#[derive(Debug)]
pub(super) struct Include {
    pattern: Patterns,
    /// The components in front of the first wildcard: nothing beside them needs to be looked at.
    plain: Vec<Vec<u8>>,
}

impl Include {
    pub(super) fn new(pattern: &str, written: &str) -> Result<Self, CopyError> {
        let plain = pattern
            .split('/')
            .map(str::as_bytes)
            .take_while(|component| !has_wildcard(component) && !component.contains(&b'\\'))
            .map(<[u8]>::to_vec)
            .collect();
        Ok(Self {
            pattern: Patterns::new([pattern]).map_err(|source| CopyError::SourcePattern {
                written: written.to_owned(),
                source,
            })?,
            plain,
        })
    }

    /// Whether an entry of a directory at this depth can lead to a match.
    fn may_lead_to_match(&self, depth: usize, name: &[u8]) -> bool {
        self.plain
            .get(depth)
            .is_none_or(|component| component.as_slice() == name)
    }
}

/// A directory being copied, with everything below it. Without recursion: how deep a tree is, its author decides.
#[derive(Debug)]
pub(super) struct Subtree<'p, 'a, 's> {
    placing: &'p mut Placing<'a>,
    tree: &'s Tree,
    written: &'s str,
    include: Option<&'s Include>,
    /// Files with several names, and the number of what was put for them.
    links: HashMap<NodeId, usize>,
    /// Directories on the way down that are made only if something below them is copied.
    pending: Vec<(NodeId, ImagePath)>,
}

/// A directory whose entries are being copied.
struct Level {
    /// Where it lies in the source, and where it goes to.
    below: ImagePath,
    to: ImagePath,
    verdicts: Verdicts,
    /// The entries still to come, last one first.
    entries: Vec<(Box<[u8]>, NodeId)>,
    /// How many directories above it were waiting to be made when it was entered.
    waiting: usize,
}

/// What the patterns say about a path, for the patterns on what lies below it.
#[derive(Debug, Default)]
struct Verdicts {
    included: Option<Verdict>,
    excluded: Option<Verdict>,
}

impl Verdicts {
    /// The pattern of `--parents` is matched by the same means as an exclusion.
    fn are_for(&self) -> bool {
        self.included.as_ref().is_none_or(Verdict::is_excluded)
            && !self.excluded.as_ref().is_some_and(Verdict::is_excluded)
    }
}

impl<'p, 'a, 's> Subtree<'p, 'a, 's> {
    pub(super) fn new(
        placing: &'p mut Placing<'a>,
        tree: &'s Tree,
        written: &'s str,
        include: Option<&'s Include>,
    ) -> Self {
        Self {
            placing,
            tree,
            written,
            include,
            links: HashMap::new(),
            pending: Vec::new(),
        }
    }

    /// Copies the entries of the directory `node` into the existing directory `to`.
    pub(super) fn copy(mut self, node: NodeId, to: &ImagePath) -> Result<(), CopyError> {
        let root = Level {
            below: ImagePath::root(),
            to: to.clone(),
            verdicts: Verdicts::default(),
            entries: self.entries(node, 0),
            waiting: 0,
        };
        let mut levels = vec![root];
        while let Some(level) = levels.last_mut() {
            let Some((name, child)) = level.entries.pop() else {
                // What was not made by the time its entries end is not made at all.
                self.pending.truncate(level.waiting);
                levels.pop();
                continue;
            };
            let path = level.below.join(&name);
            let to = level.to.join(&name);
            let verdicts = self.judge(&path, &level.verdicts);
            let waiting = self.pending.len();
            if self.entry(child, &path, &to, &verdicts)? {
                levels.push(Level {
                    entries: self.entries(child, levels.len()),
                    below: path,
                    to,
                    verdicts,
                    waiting,
                });
            }
        }
        Ok(())
    }

    /// What is to be looked at of a directory so many levels down, last one first.
    fn entries(&self, directory: NodeId, depth: usize) -> Vec<(Box<[u8]>, NodeId)> {
        let mut entries: Vec<_> = self
            .tree
            .children(directory)
            .filter(|(name, _)| {
                self.include
                    .is_none_or(|include| include.may_lead_to_match(depth, name))
            })
            .map(|(name, child)| (Box::from(name), child))
            .collect();
        entries.reverse();
        entries
    }

    fn judge(&self, path: &ImagePath, above: &Verdicts) -> Verdicts {
        let path = path.as_relative();
        let exclude = &self.placing.exclude;
        Verdicts {
            included: self
                .include
                .map(|include| include.pattern.judge(path, above.included.as_ref())),
            excluded: (!exclude.is_empty()).then(|| exclude.judge(path, above.excluded.as_ref())),
        }
    }

    /// Copies one entry; says whether what lies below it is to be looked at.
    fn entry(
        &mut self,
        node: NodeId,
        path: &ImagePath,
        to: &ImagePath,
        verdicts: &Verdicts,
    ) -> Result<bool, CopyError> {
        let is_directory = self.tree.node(node).is_directory();
        match (verdicts.are_for(), is_directory) {
            (true, false) => {
                self.make_pending()?;
                self.leaf(node, to)?;
                Ok(false)
            }
            (true, true) => {
                self.make_pending()?;
                self.directory(node, to, self.include.is_none())?;
                Ok(true)
            }
            (false, false) => Ok(false),
            (false, true) => {
                let exclude = &self.placing.exclude;
                let may_include = verdicts
                    .excluded
                    .as_ref()
                    .is_none_or(|verdict| exclude.may_include_below(path.as_relative(), verdict));
                if may_include {
                    self.pending.push((node, to.clone()));
                }
                Ok(may_include)
            }
        }
    }

    /// Makes the directories on the way to something that is copied. COMPAT(buildkit): existing ones keep what they have.
    fn make_pending(&mut self) -> Result<(), CopyError> {
        for (node, to) in std::mem::take(&mut self.pending) {
            self.directory(node, &to, false)?;
        }
        Ok(())
    }

    /// A directory below the destination: takes the metadata of its source if it is new, or if `overwrite` says so.
    fn directory(
        &mut self,
        node: NodeId,
        to: &ImagePath,
        overwrite: bool,
    ) -> Result<(), CopyError> {
        match self.placing.target.seen(to).map(|seen| seen.shape) {
            Some(Shape::Directory) if !overwrite => return Ok(()),
            Some(Shape::Directory) | None => {}
            Some(Shape::Symlink(_) | Shape::Other) => {
                return Err(CopyError::DirectoryOntoFile {
                    written: self.written.to_owned(),
                    at: to.clone(),
                });
            }
        }
        let source = &self.tree.node(node).metadata;
        let metadata = self.placing.metadata(source, &Entry::Directory);
        self.placing.target.put(to, Entry::Directory, metadata);
        Ok(())
    }

    fn leaf(&mut self, node: NodeId, to: &ImagePath) -> Result<(), CopyError> {
        let source = self.tree.node(node);
        let is_linked = self.tree.links(node) > 1 && source.file().is_some();
        if is_linked && let Some(number) = self.links.get(&node) {
            self.placing.target.link(to, *number);
            return Ok(());
        }
        let entry = Entry::of(&source.kind);
        let metadata = self.placing.metadata(&source.metadata, &entry);
        let number = self.placing.put_leaf(to, entry, metadata, self.written)?;
        if is_linked {
            self.links.insert(node, number);
        }
        Ok(())
    }
}
