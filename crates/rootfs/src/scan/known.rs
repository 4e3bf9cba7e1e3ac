//! What was seen on the disk, by node of the tree.

use std::collections::HashMap;

use kigumi_layer::{ImagePath, NodeId, Timestamp};

use crate::disk::{Identity, Stat};

/// What was seen, in a table by number: the numbers of a tree have no gaps worth a map.
#[derive(Default, Debug)]
pub(super) struct Known {
    nodes: Vec<Option<Seen>>,
    /// What was on the disk at the first look and is not in the tree: left out until it is touched (T-SNAP-16).
    pub(super) foreign: HashMap<ImagePath, Seen>,
    /// The latest change time of all.
    pub(super) newest: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) identity: Identity,
    /// Its change time could not be told from that of a change made right afterwards.
    pub(super) is_suspect: bool,
}

impl From<Identity> for Seen {
    fn from(identity: Identity) -> Self {
        Self {
            identity,
            is_suspect: false,
        }
    }
}

impl Known {
    /// Room for a tree of so many numbers, and no more: there is one such table for the whole image.
    pub(super) fn with_room(numbers: usize) -> Self {
        Self {
            nodes: Vec::with_capacity(numbers),
            ..Self::default()
        }
    }

    pub(super) fn seen(&self, id: NodeId) -> Option<&Seen> {
        self.nodes.get(id.number())?.as_ref()
    }

    pub(super) fn is_unchanged(&self, id: NodeId, stat: &Stat) -> bool {
        self.seen(id)
            .is_some_and(|seen| seen.identity == stat.identity && !seen.is_suspect)
    }

    pub(super) fn note(&mut self, id: NodeId, identity: Identity) {
        self.newest = self.newest.max(identity.ctime);
        let number = id.number();
        if number >= self.nodes.len() {
            self.nodes.resize(number + 1, None);
        }
        if let Some(slot) = self.nodes.get_mut(number) {
            *slot = Some(identity.into());
        }
    }

    pub(super) fn note_foreign(&mut self, path: ImagePath, identity: Identity) {
        self.newest = self.newest.max(identity.ctime);
        self.foreign.insert(path, identity.into());
    }

    pub(super) fn forget(&mut self, id: NodeId) {
        if let Some(slot) = self.nodes.get_mut(id.number()) {
            *slot = None;
        }
    }

    /// Everything that a change at `now` could not be told from has to be read.
    pub(super) fn suspect_since(&mut self, now: Timestamp) {
        for seen in self.nodes.iter_mut().flatten() {
            seen.is_suspect |= seen.identity.ctime >= now;
        }
    }

    #[cfg(test)]
    pub(super) fn seen_mut(&mut self, id: NodeId) -> Option<&mut Seen> {
        self.nodes.get_mut(id.number())?.as_mut()
    }
}
