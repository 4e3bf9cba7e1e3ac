//! The first look at what was unpacked: every entry is asked about once, and nothing is kept of it but what tells it from another.

use std::sync::{Mutex, PoisonError};

use kigumi_layer::{ImagePath, Node, NodeId, Timestamp};
use rustix::io::Errno;

use super::compare::{Absent, Beside, Comparison, Finding, Findings, kind_of, present};
use super::known::Known;
use super::lasting;
use super::names::Names;
use super::walk::{Directory, Next};
use crate::disk::{Identity, Stat};
use crate::{Error, Virtual};

/// What one thread learns of a directory, before it is noted with those of all others.
type Batch = Vec<(NodeId, Identity)>;

/// Compares the disk with the tree and notes what is there.
pub(super) struct Recording<'a> {
    pub(super) comparison: Comparison<'a>,
    pub(super) known: Mutex<Known>,
    pub(super) began: Timestamp,
}

impl Recording<'_> {
    pub(super) fn directory(
        &self,
        directory: &Directory<'_, Beside>,
        findings: &mut Findings,
        names: &mut Names,
    ) -> Result<Next<Beside>, Error> {
        let names = directory.list(names)?;
        let mut batch = Batch::new();
        let mut next = Vec::new();
        if directory.path.is_root()
            && let Some(root) = directory.tag
        {
            batch.push((root, directory.stat.identity));
        }
        let mut absent = Absent::new();
        let mut are_all_there = true;
        for name in names.in_order() {
            let Some(stat) = &present(directory, name, &mut absent)? else {
                are_all_there = false;
                continue;
            };
            let prior = directory
                .tag
                .and_then(|beside| self.comparison.tree.child(beside, name));
            let beside = match prior {
                None => {
                    self.note_foreign(directory.path.join(name), stat);
                    None
                }
                Some(id) => match self.entry(&directory.path.join(name), stat, id)? {
                    Found::Unpacked => {
                        batch.push((id, stat.identity));
                        Some(id)
                    }
                    Found::Instead(beside) => beside,
                    Found::StandIn => continue,
                },
            };
            if stat.is_directory() {
                next.push((directory.path.join(name), beside));
            }
        }
        let mut is_complete = false;
        if let Some(beside) = directory.tag {
            let has_exactly = self.comparison.has_exactly(beside, names);
            is_complete = are_all_there && has_exactly;
            if !is_complete {
                let is_there = |name: &[u8]| names.contains(name) && !absent.contains(name);
                self.comparison
                    .missing(directory, (beside, is_there), findings);
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, identity) in batch {
            known.note(id, identity);
        }
        if is_complete {
            lasting::judge(&mut known, directory, self.began);
        }
        Ok(next)
    }

    fn entry(&self, path: &ImagePath, stat: &Stat, id: NodeId) -> Result<Found, Error> {
        let node = self.comparison.tree.node(id);
        if self.comparison.is_stand_in(Some(node), stat, path) {
            return Ok(Found::StandIn);
        }
        if is_as_unpacked(node, stat) && !self.is_absent(path) {
            return Ok(Found::Unpacked);
        }
        if self.is_absent(path) {
            let is_same = kind_of(node) == stat.identity.kind();
            return Ok(Found::Instead(is_same.then_some(id)));
        }
        Err(Error::Moved { path: path.clone() })
    }

    fn is_absent(&self, path: &ImagePath) -> bool {
        matches!(self.comparison.virtuals.get(path), Some(Virtual::Absent(_)))
    }

    fn note_foreign(&self, path: ImagePath, stat: &Stat) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.note_foreign(path, stat.identity);
    }
}

/// What stands where the tree has something.
enum Found {
    Unpacked,
    /// Something that the tree does not know, where what it knows could not be made; and what is compared with what is in it.
    Instead(Beside),
    /// See [`Comparison::is_stand_in`].
    StandIn,
}

/// Whether the disk has the kind of thing there that was unpacked, with the length that was written.
fn is_as_unpacked(node: &Node, stat: &Stat) -> bool {
    kind_of(node) == stat.identity.kind()
        && node
            .file()
            .is_none_or(|content| content.size == stat.identity.size)
}

/// Fails for the first path that should be there and is not.
pub(super) fn ensure_complete(findings: Vec<Findings>) -> Result<(), Error> {
    let missing = findings
        .into_iter()
        .flat_map(|part| part.list)
        .filter_map(|finding| match finding {
            Finding::Gone(path) => Some(path),
            Finding::Here(_) => None,
        })
        .min();
    match missing {
        Some(path) => Err(Error::file(
            "find what was unpacked at",
            &path,
            Errno::NOENT,
        )),
        None => Ok(()),
    }
}
