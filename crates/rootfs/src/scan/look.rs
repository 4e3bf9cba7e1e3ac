//! A look at the disk that brings the tree up to it as it goes.
//!
//! What is found in a directory is put into the tree before the next one is looked into: a RUN may write more files than there is room for findings. The
//! disk is compared with the tree as it was, which does not change meanwhile. What was recorded does: a node's record is dropped or
//! taken over when the last of its names was found gone or replaced, and nobody asks for it afterwards.

use std::sync::{PoisonError, RwLock};

use kigumi_layer::{NodeId, Timestamp, Tree};

use super::compare::{Absent, Beside, Comparison, Findings, Late, present};
use super::names::Names;
use super::walk::{self, Directory, Next, Opened};
use super::{Index, lasting};
use crate::disk::Stat;
use crate::{Error, Exclusions, RootDir};

/// How many entries of a directory are looked at before what was found is put into the tree.
const BATCH: usize = 256;

/// Looks at everything; gives what cannot be put into the tree before all the rest is.
pub(super) fn look(
    index: &mut Index,
    root: &RootDir,
    (before, exclusions): (&Tree, &Exclusions),
) -> Result<Late, Error> {
    let looking = Looking {
        before,
        exclusions,
        root,
        began: lasting::tick(),
        index: RwLock::new(index),
    };
    let start = Some(before.root());
    let found = walk::walk(
        root,
        exclusions,
        (start, Opened::AsPlaces),
        |directory, findings, names| looking.directory(directory, findings, names),
    )?;
    let mut all = Late::default();
    for Findings { late, .. } in found {
        all.linked.extend(late.linked);
        all.scaffolds.extend(late.scaffolds);
        all.anchors.extend(late.anchors);
        all.visits.directories += late.visits.directories;
        all.visits.listed += late.visits.listed;
    }
    Ok(all)
}

struct Looking<'a> {
    before: &'a Tree,
    exclusions: &'a Exclusions,
    root: &'a RootDir,
    /// See [`lasting`].
    began: Timestamp,
    index: RwLock<&'a mut Index>,
}

impl Looking<'_> {
    fn directory(
        &self,
        directory: &Directory<'_, Beside>,
        findings: &mut Findings,
        names: &mut Names,
    ) -> Result<Next<Beside>, Error> {
        if directory.path.is_root() {
            self.compare(|comparison| comparison.root(directory, findings))?;
        }
        findings.late.visits.directories += 1;
        let next = if let Some(beside) = self.listed_by_tree(directory) {
            self.children(directory, beside, findings)?
        } else {
            findings.late.visits.listed += 1;
            self.names(directory, directory.list(names)?, findings)?
        };
        self.put(findings)?;
        Ok(next)
    }

    fn listed_by_tree(&self, directory: &Directory<'_, Beside>) -> Option<NodeId> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        directory
            .tag
            .filter(|beside| lasting::is_listed_by_tree(&index.known, directory, *beside))
    }

    /// Looks at what the tree has in a directory, which is all that is there.
    fn children(
        &self,
        directory: &Directory<'_, Beside>,
        beside: NodeId,
        findings: &mut Findings,
    ) -> Result<Next<Beside>, Error> {
        let mut next = Vec::new();
        let mut absent = Absent::new();
        let mut are_all_there = true;
        let mut children = self.before.children(beside).peekable();
        while children.peek().is_some() {
            let mut batch = children.by_ref().take(BATCH);
            self.compare(|comparison| {
                batch.try_for_each(|(name, id)| {
                    let found = (&mut *findings, &mut next);
                    are_all_there &=
                        child(&comparison, directory, (name, id), (&mut absent, found))?;
                    Ok(())
                })
            })?;
            self.put(findings)?;
        }
        if !are_all_there {
            // Something mounted, or a change right now: not for nothing is every one of them looked at.
            let is_there = |name: &[u8]| !absent.contains(name);
            self.missing(directory, (beside, is_there), findings)?;
            self.write(|index| index.known.set_complete(beside, false));
        }
        Ok(next)
    }

    /// Looks at all that is listed.
    fn names(
        &self,
        directory: &Directory<'_, Beside>,
        names: &Names,
        findings: &mut Findings,
    ) -> Result<Next<Beside>, Error> {
        let mut next = Vec::new();
        let mut absent = Absent::new();
        let mut are_all_there = true;
        let mut batch: Vec<(&[u8], Stat)> = Vec::new();
        for name in names.in_order() {
            match present(directory, name, &mut absent)? {
                Some(stat) => batch.push((name, stat)),
                None => are_all_there = false,
            }
            if batch.len() >= BATCH {
                self.entries(directory, &batch, (findings, &mut next))?;
                batch.clear();
            }
        }
        self.entries(directory, &batch, (findings, &mut next))?;
        let Some(beside) = directory.tag else {
            return Ok(next);
        };
        let has_exactly = self.compare(|comparison| Ok(comparison.has_exactly(beside, names)))?;
        if has_exactly && are_all_there {
            self.write(|index| lasting::judge(&mut index.known, directory, self.began));
        } else {
            let is_there = |name: &[u8]| names.contains(name) && !absent.contains(name);
            self.missing(directory, (beside, is_there), findings)?;
            self.write(|index| index.known.set_complete(beside, false));
        }
        Ok(next)
    }

    fn entries(
        &self,
        directory: &Directory<'_, Beside>,
        batch: &[(&[u8], Stat)],
        (findings, next): (&mut Findings, &mut Next<Beside>),
    ) -> Result<(), Error> {
        self.compare(|comparison| {
            batch.iter().try_for_each(|(name, stat)| {
                let prior = directory
                    .tag
                    .and_then(|beside| self.before.child(beside, name));
                let found = (&mut *findings, &mut *next);
                comparison.entry(directory, (name, prior), stat, found)
            })
        })?;
        self.put(findings)
    }

    fn missing(
        &self,
        directory: &Directory<'_, Beside>,
        what: (NodeId, impl Fn(&[u8]) -> bool),
        findings: &mut Findings,
    ) -> Result<(), Error> {
        self.compare(|comparison| {
            comparison.missing(directory, what, findings);
            Ok(())
        })
    }

    fn write(&self, change: impl FnOnce(&mut Index)) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut index);
    }

    fn compare<T>(
        &self,
        look: impl FnOnce(Comparison<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        look(Comparison {
            tree: self.before,
            known: &index.known,
            virtuals: &index.virtuals,
            exclusions: self.exclusions,
        })
    }

    fn put(&self, findings: &mut Findings) -> Result<(), Error> {
        if findings.list.is_empty() {
            return Ok(());
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.put_all(findings.list.drain(..), self.root)
    }
}

/// Looks at one name of the tree, and says whether it stands for anything.
fn child<'a>(
    comparison: &Comparison<'_>,
    directory: &Directory<'_, Beside>,
    (name, id): (&'a [u8], NodeId),
    (absent, found): (&mut Absent<'a>, (&mut Findings, &mut Next<Beside>)),
) -> Result<bool, Error> {
    let Some(stat) = present(directory, name, absent)? else {
        return Ok(false);
    };
    comparison.entry(directory, (name, Some(id)), &stat, found)?;
    Ok(true)
}
