//! What was seen on the disk, by node of the tree.
//!
//! Of most files [`Narrow`] says all; what does not fit there is [`Packed`], and what does not fit there either is kept as it is.

use std::collections::HashMap;

use kigumi_layer::{ImagePath, NodeId, Timestamp};

use super::narrow::{Narrow, Start, State};
use super::packed::{Packed, Shares};
use super::slots::Slots;
use crate::disk::{Identity, Stat};

/// What was seen, in a table by number: the numbers of a tree have no gaps worth a map.
#[derive(Default, Debug)]
pub(super) struct Known {
    records: Slots<Start, Narrow>,
    /// What is too unlike its neighbours, in no order.
    apart: Slots<(), Record>,
    /// How many slots of those were given out, and which of them are empty again.
    apart_length: usize,
    free: Vec<u32>,
    shares: Shares,
    /// What does not fit in a record of any kind.
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
        let (start, record) = self.records.get(id.number())?;
        let is_suspect = match record.state() {
            State::Nothing => return None,
            State::Elsewhere(number) => return self.seen_apart(id, number),
            State::Seen => false,
            State::Suspect => true,
        };
        Some(Seen {
            identity: record.unpack(*start, &self.shares)?,
            is_suspect,
        })
    }

    fn seen_apart(&self, id: NodeId, number: u32) -> Option<Seen> {
        let ((), record) = self.apart.get(number as usize)?;
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
        let Some((start, record)) = self.records.get(id.number()) else {
            return false;
        };
        match record.state() {
            State::Nothing | State::Suspect => false,
            State::Seen => record.is(&stat.identity, *start, &self.shares),
            State::Elsewhere(number) => self
                .seen_apart(id, number)
                .is_some_and(|seen| seen.identity == stat.identity && !seen.is_suspect),
        }
    }

    /// Whether the names in a directory were those of the tree when it was as it was seen.
    pub(super) fn is_complete(&self, id: NodeId) -> bool {
        let record = self.records.get(id.number());
        record.is_some_and(|(_, record)| record.is_complete())
    }

    /// To be told of a directory that was looked at before it was listed, and was as it was seen.
    pub(super) fn set_complete(&mut self, id: NodeId, is_complete: bool) {
        if let Some(record) = self.records.get_mut(id.number()) {
            record.set_complete(is_complete);
        }
    }

    /// Of its names nothing is known from here on.
    pub(super) fn note(&mut self, id: NodeId, identity: Identity) {
        self.newest = self.newest.max(identity.ctime);
        self.forget(id);
        let start = self.records.head(id.number(), || Start::of(&identity));
        let record = match Narrow::pack(&identity, start, &mut self.shares) {
            Some(narrow) => narrow,
            None => self.note_apart(id, identity),
        };
        if let Some(slot) = self.records.get_mut(id.number()) {
            *slot = record;
        }
    }

    #[expect(clippy::expect_used, reason = "2^32 nodes do not fit in memory")]
    fn note_apart(&mut self, id: NodeId, identity: Identity) -> Narrow {
        let record = if let Some(packed) = self.shares.pack(&identity) {
            Record::Seen(packed)
        } else {
            self.wide.insert(id, identity.into());
            Record::Wide
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.apart_length += 1;
            u32::try_from(self.apart_length - 1).expect("fewer than 2^32 nodes")
        });
        self.apart.head(number as usize, || ());
        if let Some(slot) = self.apart.get_mut(number as usize) {
            *slot = record;
        }
        Narrow::elsewhere(number)
    }

    pub(super) fn note_foreign(&mut self, path: ImagePath, identity: Identity) {
        self.newest = self.newest.max(identity.ctime);
        self.foreign.insert(path, identity.into());
    }

    pub(super) fn forget(&mut self, id: NodeId) {
        let Some(slot) = self.records.get_mut(id.number()) else {
            return;
        };
        if let State::Elsewhere(number) = std::mem::take(slot).state()
            && let Some(slot) = self.apart.get_mut(number as usize)
        {
            self.free.push(number);
            if matches!(std::mem::take(slot), Record::Wide) {
                self.wide.remove(&id);
            }
        }
    }

    /// Everything that a change at `now` could not be told from has to be read.
    pub(super) fn suspect_since(&mut self, now: Timestamp) {
        for (start, record) in self.records.iter_mut() {
            if record.state() == State::Seen && record.ctime(start) >= now {
                record.suspect();
            }
        }
        for ((), record) in self.apart.iter_mut() {
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
        if seen.is_suspect {
            self.suspect(id);
        }
    }

    #[cfg(test)]
    fn suspect(&mut self, id: NodeId) {
        let Some(record) = self.records.get_mut(id.number()) else {
            return;
        };
        record.suspect();
        if let State::Elsewhere(number) = record.state()
            && let Some(slot) = self.apart.get_mut(number as usize)
            && let Record::Seen(packed) = *slot
        {
            *slot = Record::Suspect(packed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use kigumi_layer::{Change, Entry, Metadata, Mode, Tree};
    use proptest::prelude::*;

    use super::super::packed::tests::{identity, plain};
    use super::*;

    fn ids(count: usize) -> Vec<NodeId> {
        let mut tree = Tree::new();
        for number in 0..count {
            tree.apply(Change::Put {
                path: ImagePath::parse(format!("{number}").as_bytes()).unwrap(),
                entry: Entry::Fifo,
                metadata: Metadata::root_owned(Mode::FILE, Timestamp::default()),
            })
            .unwrap();
        }
        tree.ids().collect()
    }

    fn any_identity() -> impl Strategy<Value = Identity> {
        let wide = identity().prop_map(|it| Identity {
            size: 1 << 40,
            ..it
        });
        let near = (0..1000_u64).prop_map(|ino| Identity { ino, ..plain() });
        prop_oneof![near, identity(), wide]
    }

    proptest! {
        #[test]
        fn what_was_noted_last_is_known(
            steps in prop::collection::vec((0..600_usize, prop::option::of(any_identity())), 1..200),
        ) {
            let ids = ids(600);
            let mut known = Known::default();
            let mut expected = HashMap::new();
            for (at, identity) in steps {
                let id = ids[at];
                if let Some(identity) = identity {
                    known.note(id, identity);
                    expected.insert(id, identity);
                } else {
                    known.forget(id);
                    expected.remove(&id);
                }
            }
            for id in &ids {
                let seen = known.seen(*id).map(|seen| seen.identity);
                prop_assert_eq!(seen, expected.get(id).copied());
            }
            let of_wide = expected.values().filter(|it| it.size > u64::from(u32::MAX)).count();
            prop_assert!(known.wide.len() >= of_wide && known.wide.len() <= expected.len());
            let middle = Timestamp::from_seconds(3);
            known.suspect_since(middle);
            for (id, identity) in expected {
                prop_assert_eq!(known.seen(id).unwrap().is_suspect, identity.ctime >= middle);
            }
        }
    }

    #[test]
    fn a_directory_that_is_noted_anew_or_forgotten_is_not_known_to_be_complete() {
        let ids = ids(2);
        let far = Identity {
            ino: u64::MAX,
            ..plain()
        };
        let huge = Identity {
            size: 1 << 40,
            ..plain()
        };
        for identity in [plain(), far, huge] {
            let mut known = Known::default();
            known.note(ids[0], plain());
            known.set_complete(ids[1], true);
            assert!(!known.is_complete(ids[1]), "nothing was seen of it");
            known.note(ids[1], plain());
            known.note(ids[1], identity);
            known.set_complete(ids[1], true);
            assert!(known.is_complete(ids[1]) && !known.is_complete(ids[0]));
            known.suspect_since(Timestamp::default());
            let seen = known.seen(ids[1]).unwrap();
            assert!(seen.is_suspect && seen.identity == identity);
            known.note(ids[1], identity);
            assert!(!known.is_complete(ids[1]));
            known.set_complete(ids[1], true);
            known.set_complete(ids[1], false);
            assert!(!known.is_complete(ids[1]));
            known.set_complete(ids[1], true);
            known.forget(ids[1]);
            assert!(!known.is_complete(ids[1]));
        }
    }

    #[test]
    fn the_place_of_what_is_forgotten_is_used_again() {
        let ids = ids(10);
        let mut known = Known::default();
        known.note(ids[0], plain());
        let far = Identity {
            ino: u64::MAX,
            ..plain()
        };
        for _ in 0..100 {
            known.note(ids[1], far);
            known.note(ids[2], far);
            known.forget(ids[1]);
        }
        assert_eq!((known.apart_length, known.free.len()), (2, 1));
    }

    #[test]
    fn a_record_that_lies_apart_has_forty_bytes() {
        assert_eq!(size_of::<Record>(), 40);
    }
}
