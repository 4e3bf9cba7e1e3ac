//! What was seen on the disk, by node of the tree.

use std::collections::HashMap;

use kigumi_layer::{ImagePath, NodeId, Timestamp};

use super::packed::{Packed, Shares};
use crate::disk::{Identity, Stat};

/// How many nodes' records are allocated at once. A table that grows by doubling would be there twice while it does.
const PIECE: usize = 256;

/// What was seen, in a table by number: the numbers of a tree have no gaps worth a map.
#[derive(Default, Debug)]
pub(super) struct Known {
    pieces: Vec<Vec<Record>>,
    shares: Shares,
    /// What does not fit in a record.
    wide: HashMap<NodeId, Seen>,
    /// What was on the disk at the first look and is not in the tree: left out until it is touched (T-SNAP-16).
    pub(super) foreign: HashMap<ImagePath, Seen>,
    /// The latest change time of all.
    pub(super) newest: Timestamp,
}

#[derive(Clone, Copy, Default, Debug)]
enum Record {
    #[default]
    Nothing,
    Seen(Packed),
    Suspect(Packed),
    Wide,
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
    pub(super) fn seen(&self, id: NodeId) -> Option<Seen> {
        let number = id.number();
        let record = self.pieces.get(number / PIECE)?.get(number % PIECE)?;
        let (packed, is_suspect) = match record {
            Record::Nothing => return None,
            Record::Wide => return self.wide.get(&id).copied(),
            Record::Seen(packed) => (packed, false),
            Record::Suspect(packed) => (packed, true),
        };
        Some(Seen {
            identity: self.shares.unpack(packed)?,
            is_suspect,
        })
    }

    pub(super) fn is_unchanged(&self, id: NodeId, stat: &Stat) -> bool {
        self.seen(id)
            .is_some_and(|seen| seen.identity == stat.identity && !seen.is_suspect)
    }

    pub(super) fn note(&mut self, id: NodeId, identity: Identity) {
        self.newest = self.newest.max(identity.ctime);
        self.forget(id);
        let record = if let Some(packed) = self.shares.pack(&identity) {
            Record::Seen(packed)
        } else {
            self.wide.insert(id, identity.into());
            Record::Wide
        };
        let number = id.number();
        let piece = number / PIECE;
        if piece >= self.pieces.len() {
            self.pieces.resize_with(piece + 1, Vec::new);
        }
        if let Some(piece) = self.pieces.get_mut(piece) {
            if piece.is_empty() {
                piece.reserve_exact(PIECE);
                piece.resize(PIECE, Record::Nothing);
            }
            if let Some(slot) = piece.get_mut(number % PIECE) {
                *slot = record;
            }
        }
    }

    pub(super) fn note_foreign(&mut self, path: ImagePath, identity: Identity) {
        self.newest = self.newest.max(identity.ctime);
        self.foreign.insert(path, identity.into());
    }

    pub(super) fn forget(&mut self, id: NodeId) {
        if let Some(slot) = self.slot(id)
            && matches!(std::mem::take(slot), Record::Wide)
        {
            self.wide.remove(&id);
        }
    }

    fn slot(&mut self, id: NodeId) -> Option<&mut Record> {
        let number = id.number();
        self.pieces.get_mut(number / PIECE)?.get_mut(number % PIECE)
    }

    /// Everything that a change at `now` could not be told from has to be read.
    pub(super) fn suspect_since(&mut self, now: Timestamp) {
        for record in self.pieces.iter_mut().flatten() {
            if let Record::Seen(packed) = record
                && packed.ctime() >= now
            {
                *record = Record::Suspect(*packed);
            }
        }
        for seen in self.wide.values_mut() {
            seen.is_suspect |= seen.identity.ctime >= now;
        }
    }

    /// As if it had been seen with another change time.
    #[cfg(test)]
    pub(super) fn set_ctime(&mut self, id: NodeId, ctime: Timestamp) {
        let mut seen = self.seen(id).unwrap();
        seen.identity.ctime = ctime;
        self.note(id, seen.identity);
        if seen.is_suspect
            && let Some(slot) = self.slot(id)
            && let Record::Seen(packed) = *slot
        {
            *slot = Record::Suspect(packed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_forty_bytes() {
        assert_eq!(size_of::<Record>(), 40);
    }
}
