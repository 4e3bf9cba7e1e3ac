//! A look at the disk that brings the tree up to it as it goes.
//!
//! What is found in a directory is put into the tree before the next one is looked into: a RUN may write more files than there is room for findings. The
//! disk is compared with the tree as it was, which does not change meanwhile. What was recorded does: a node's record is dropped or
//! taken over when the last of its names was found gone or replaced, and nobody asks for it afterwards.

use std::sync::{PoisonError, RwLock};

use kigumi_layer::Tree;

use super::Index;
use super::compare::{Absent, Beside, Comparison, Findings, Late, present};
use super::walk::{self, Directory, Next};
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
        index: RwLock::new(index),
    };
    let start = Some(before.root());
    let found = walk::walk(root, exclusions, start, |directory, findings| {
        looking.directory(directory, findings)
    })?;
    let mut all = Late::default();
    for Findings { late, .. } in found {
        all.linked.extend(late.linked);
        all.scaffolds.extend(late.scaffolds);
        all.anchors.extend(late.anchors);
    }
    Ok(all)
}

struct Looking<'a> {
    before: &'a Tree,
    exclusions: &'a Exclusions,
    root: &'a RootDir,
    index: RwLock<&'a mut Index>,
}

impl Looking<'_> {
    fn directory(
        &self,
        directory: &Directory<'_, Beside>,
        findings: &mut Findings,
    ) -> Result<Next<Beside>, Error> {
        let mut next = Vec::new();
        if directory.path.is_root() {
            self.compare(|comparison| comparison.root(directory, findings))?;
        }
        let mut absent = Absent::new();
        let mut batch: Vec<(&[u8], Stat)> = Vec::new();
        for name in directory.names() {
            if let Some(stat) = present(directory, name, &mut absent)? {
                batch.push((name, stat));
            }
            if batch.len() >= BATCH {
                next.append(&mut self.entries(directory, &batch, findings)?);
                batch.clear();
            }
        }
        next.append(&mut self.entries(directory, &batch, findings)?);
        if let Some(beside) = directory.tag {
            self.compare(|comparison| {
                comparison.missing(directory, (beside, &absent), findings);
                Ok(())
            })?;
        }
        self.put(findings)?;
        Ok(next)
    }

    fn entries(
        &self,
        directory: &Directory<'_, Beside>,
        batch: &[(&[u8], Stat)],
        findings: &mut Findings,
    ) -> Result<Next<Beside>, Error> {
        let next = self.compare(|comparison| comparison.entries(directory, batch, findings))?;
        self.put(findings)?;
        Ok(next)
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
