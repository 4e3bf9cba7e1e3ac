use super::patterns::{Pattern, SHORTEST};

/// Finds patterns at a place.
#[derive(Clone, Default)]
pub(super) struct Matcher {
    /// Sorted, none shorter than [`SHORTEST`].
    patterns: Vec<Pattern>,
    /// Which first bytes there are: most places of a text are passed over by this.
    first: Vec<u8>,
}

/// What begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// Length of the longest pattern that stands there; 0 for none.
    pub(super) length: usize,
    /// Whether a longer one may, once more bytes have come.
    pub(super) open: bool,
}

impl Matcher {
    /// This one with more patterns.
    pub(super) fn with(&self, more: Vec<Pattern>) -> Self {
        let mut patterns: Vec<Pattern> = self.patterns.iter().cloned().chain(more).collect();
        patterns.sort_by(|one, other| one.as_slice().cmp(other.as_slice()));
        patterns.dedup();
        let mut first: Vec<u8> = patterns
            .iter()
            .filter_map(|pattern| pattern.first().copied())
            .collect();
        first.dedup();
        Self { patterns, first }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// What begins at the first of these bytes.
    pub(super) fn at(&self, bytes: &[u8]) -> Found {
        let mut found = Found::default();
        let Some(first) = bytes.first() else {
            return found;
        };
        if self.first.binary_search(first).is_err() {
            return found;
        }
        let key = bytes.get(..SHORTEST).unwrap_or(bytes);
        let start = self
            .patterns
            .partition_point(|pattern| pattern.get(..key.len()).is_some_and(|head| head < key));
        let candidates = self.patterns.iter().skip(start);
        for pattern in candidates.take_while(|pattern| pattern.starts_with(key)) {
            if bytes.starts_with(pattern) {
                found.length = found.length.max(pattern.len());
            } else if pattern.starts_with(bytes) {
                found.open = true;
            }
        }
        found
    }
}
