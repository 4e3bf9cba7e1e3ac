//! Entries that could not be had, and what that says of the others. Each of them costs a new beginning, so a cache that has lost much is soon asked
//! for less.

use std::collections::BTreeSet;

use kigumi_plan::CacheKey;

/// After so many nothing is taken that was there when the build began.
const OF_OTHERS: usize = 3;
/// After so many nothing is taken at all: not even what the build itself has just kept stays.
const OF_OURS: usize = 6;

/// Entries that were believed and whose layers could not be had.
#[derive(Debug, Default)]
pub(in crate::build) struct Struck(BTreeSet<CacheKey>);

impl Struck {
    /// Takes an entry out; false if it was out already.
    pub(in crate::build) fn strike(&mut self, key: CacheKey) -> bool {
        self.0.insert(key)
    }

    /// What has changed with the last one, for the log.
    pub(in crate::build) fn verdict(&self) -> Option<&'static str> {
        match self.0.len() {
            OF_OTHERS => Some(
                "from now on it takes nothing from the cache that other builds have kept there",
            ),
            OF_OURS => Some("from now on it takes nothing from the cache"),
            _ => None,
        }
    }

    /// Whether it makes sense to ask for an entry.
    pub(super) fn asks(&self, key: &CacheKey) -> bool {
        self.0.len() < OF_OURS && !self.0.contains(key)
    }

    /// Whether an entry is taken that was written at this time by a build that began at that.
    pub(super) fn takes(&self, created: i64, began: i64) -> bool {
        self.0.len() < OF_OTHERS || created >= began
    }
}

#[cfg(test)]
mod tests {
    use kigumi_plan::Framed;

    use super::*;

    fn key(number: usize) -> CacheKey {
        Framed::new("test").number(number as u64).finish()
    }

    #[test]
    fn the_more_entries_are_lost_the_fewer_are_taken() {
        let mut struck = Struck::default();
        let mut said = Vec::new();
        let mut taken = Vec::new();
        for number in 0..=OF_OURS {
            let (old, new) = (struck.takes(99, 100), struck.takes(100, 100));
            taken.push((struck.asks(&key(1000)), old, new));
            assert!(struck.strike(key(number)) && !struck.strike(key(number)));
            said.push(struck.verdict().is_some());
        }
        let (all, own, none) = (
            (true, true, true),
            (true, false, true),
            (false, false, true),
        );
        assert_eq!(taken, [all, all, all, own, own, own, none]);
        assert_eq!(said, [false, false, true, false, false, true, false]);
    }

    #[test]
    fn a_lost_entry_is_not_asked_for() {
        let mut struck = Struck::default();
        struck.strike(key(1));
        assert!(!struck.asks(&key(1)) && struck.asks(&key(2)));
    }
}
