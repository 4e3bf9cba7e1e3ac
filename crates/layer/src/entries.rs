use std::fmt;

use crate::tree::NodeId;

/// How many entries are kept in one piece: a new name moves no more than these.
const PIECE: usize = 64;

/// The entries of a directory, in order of their names.
///
/// There is one entry for every file of an image, so it costs its name and six bytes: names lie one after the other, in pieces of bounded size. A
/// piece that is filled in order of the names, as archives mostly are, is left full.
#[derive(Clone, Default)]
pub struct Entries {
    /// In order; none is empty.
    pieces: Vec<Piece>,
}

#[derive(Clone, Default)]
struct Piece {
    names: Vec<u8>,
    places: Vec<Place>,
}

/// Where a name ends in the names of its piece, and what it leads to.
///
/// Packed: there is one for every file of an image.
#[derive(Clone, Copy)]
#[repr(C, packed(2))]
struct Place {
    id: NodeId,
    end: u16,
}

/// How many bytes the names of a piece may have: as far as a place counts.
const NAMES: usize = u16::MAX as usize;

impl Entries {
    /// Of an empty directory.
    pub(crate) const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<NodeId> {
        let piece = self.pieces.get(self.piece_of(name))?;
        let at = piece.search(name).ok()?;
        piece.places.get(at).map(|place| place.id)
    }

    /// Adds an entry, or lets the one of this name lead elsewhere.
    pub(crate) fn insert(&mut self, name: &[u8], id: NodeId) {
        let mut number = self.piece_of(name);
        let is_last = number + 1 >= self.pieces.len();
        let Some(piece) = self.pieces.get_mut(number) else {
            self.pieces.reserve_exact(1);
            self.pieces.push(Piece::of(name, id));
            return;
        };
        let mut at = match piece.search(name) {
            Ok(at) => {
                if let Some(place) = piece.places.get_mut(at) {
                    place.id = id;
                }
                return;
            }
            Err(at) => at,
        };
        let is_full = piece.places.len() >= PIECE || piece.names.len() + name.len() > NAMES;
        if is_full && piece.places.len() > 1 {
            if is_last && at == piece.places.len() {
                piece.names.shrink_to_fit();
                piece.places.shrink_to_fit();
                self.pieces.push(Piece::of(name, id));
                return;
            }
            let upper = piece.split();
            if at > piece.places.len() {
                at -= piece.places.len();
                number += 1;
                self.pieces.insert(number, upper);
            } else {
                self.pieces.insert(number + 1, upper);
            }
        }
        if let Some(piece) = self.pieces.get_mut(number) {
            piece.insert(at, name, id);
        }
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<NodeId> {
        let number = self.piece_of(name);
        let piece = self.pieces.get_mut(number)?;
        let at = piece.search(name).ok()?;
        let id = piece.remove(at);
        if piece.places.is_empty() {
            self.pieces.remove(number);
        }
        Some(id)
    }

    pub(crate) fn in_order(&self) -> Iter<'_> {
        Iter {
            pieces: self.pieces.iter(),
            names: &[],
            start: 0,
            places: [].iter(),
        }
    }

    /// The piece that has the name, or that it belongs to.
    fn piece_of(&self, name: &[u8]) -> usize {
        self.pieces
            .partition_point(|piece| piece.name(0) <= name)
            .saturating_sub(1)
    }
}

impl Piece {
    fn of(name: &[u8], id: NodeId) -> Self {
        let mut piece = Self::default();
        piece.insert(0, name, id);
        piece
    }

    fn start(&self, at: usize) -> usize {
        let before = at.checked_sub(1).and_then(|before| self.places.get(before));
        before.map_or(0, |place| usize::from(place.end))
    }

    fn name(&self, at: usize) -> &[u8] {
        let end = self.start(at + 1);
        self.names.get(self.start(at)..end).unwrap_or_default()
    }

    /// As the search of a slice: where the name is, or where it belongs.
    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.places.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn insert(&mut self, at: usize, name: &[u8], id: NodeId) {
        let start = self.start(at);
        // By quarters rather than twice as much: most directories are small.
        if self.names.capacity() - self.names.len() < name.len() {
            self.names.reserve_exact(name.len() + self.names.len() / 4);
        }
        if self.places.capacity() == self.places.len() {
            let left = PIECE.saturating_sub(self.places.len()).max(1);
            self.places
                .reserve_exact((self.places.len() / 4).max(2).min(left));
        }
        self.names.splice(start..start, name.iter().copied());
        let length = place_of(name.len());
        let end = place_of(start + name.len());
        self.places.insert(at, Place { id, end });
        for later in self.places.iter_mut().skip(at + 1) {
            later.end += length;
        }
    }

    /// `at` is that of an entry.
    fn remove(&mut self, at: usize) -> NodeId {
        let (start, end) = (self.start(at), self.start(at + 1));
        self.names.drain(start..end);
        let length = place_of(end - start);
        let removed = self.places.remove(at);
        for later in self.places.iter_mut().skip(at) {
            later.end -= length;
        }
        removed.id
    }

    /// Takes the upper half out.
    fn split(&mut self) -> Self {
        let half = self.places.len() / 2;
        let start = self.start(half);
        let mut upper = Self {
            names: self.names.split_off(start),
            places: self.places.split_off(half),
        };
        let start = place_of(start);
        for place in &mut upper.places {
            place.end -= start;
        }
        upper
    }
}

#[expect(
    clippy::expect_used,
    reason = "a piece is split before its names have more bytes, and a name has at most a few thousand"
)]
fn place_of(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("names of less than 64 KiB")
}

/// Goes over the entries of a directory in order of their names.
#[derive(Clone)]
pub(crate) struct Iter<'a> {
    pieces: std::slice::Iter<'a, Piece>,
    names: &'a [u8],
    start: usize,
    places: std::slice::Iter<'a, Place>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], NodeId);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(place) = self.places.next() {
                let end = usize::from(place.end);
                let name = self.names.get(self.start..end).unwrap_or_default();
                self.start = end;
                return Some((name, place.id));
            }
            let piece = self.pieces.next()?;
            self.names = &piece.names;
            self.start = 0;
            self.places = piece.places.iter();
        }
    }
}

impl PartialEq for Entries {
    /// How they are cut into pieces tells nothing.
    fn eq(&self, other: &Self) -> bool {
        self.in_order().eq(other.in_order())
    }
}

impl Eq for Entries {}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, id): (&[u8], NodeId)| (name.escape_ascii().to_string(), id);
        f.debug_map().entries(self.in_order().map(shown)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn as_map(entries: &Entries) -> Vec<(Vec<u8>, NodeId)> {
        let owned = |(name, id): (&[u8], NodeId)| (name.to_vec(), id);
        entries.in_order().map(owned).collect()
    }

    proptest! {
        #[test]
        fn entries_are_a_sorted_map(
            changes in prop::collection::vec((any::<bool>(), "[a-c]{1,5}", 0..1000_usize), 0..600),
        ) {
            let ids = crate::tree::tests::ids(1000);
            let (mut entries, mut map) = (Entries::new(), BTreeMap::new());
            for (adds, name, number) in changes {
                let name = name.into_bytes();
                if adds || number % 3 == 0 {
                    entries.insert(&name, ids[number]);
                    map.insert(name.clone(), ids[number]);
                } else {
                    prop_assert_eq!(entries.remove(&name), map.remove(&name));
                }
                prop_assert_eq!(entries.get(&name), map.get(&name).copied());
            }
            prop_assert_eq!(as_map(&entries), map.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_large_directory_is_the_same_in_whatever_order_it_was_filled_and_emptied() {
        let ids = crate::tree::tests::ids(5000);
        let names: Vec<Vec<u8>> = (0..5000)
            .map(|number| format!("file-{number:04}").into_bytes())
            .collect();
        // 7919 is prime, so that its multiples come by every number.
        let orders: [fn(usize) -> usize; 3] = [|n| n, |n| 4999 - n, |n| n * 7919 % 5000];
        let filled = orders.map(|order| {
            let mut entries = Entries::new();
            for number in (0..5000).map(order) {
                entries.insert(&names[number], ids[number]);
            }
            entries
        });
        let expected: Vec<_> = names.iter().cloned().zip(ids.iter().copied()).collect();
        for mut entries in filled.clone() {
            assert_eq!(as_map(&entries), expected);
            assert!(entries == filled[0]);
            for number in (0..5000).map(orders[2]) {
                assert_eq!(entries.get(&names[number]), Some(ids[number]));
                assert_eq!(entries.remove(&names[number]), Some(ids[number]));
                assert_eq!(entries.remove(&names[number]), None);
            }
            assert!(entries.pieces.is_empty());
        }
    }

    /// Names of 1023 bytes, which some filesystems have, fill a piece before it has 64 of them.
    #[test]
    fn names_may_be_as_long_as_any_filesystem_has_them() {
        let ids = crate::tree::tests::ids(300);
        let name = |number: usize| format!("{number:04}").repeat(600).into_bytes();
        let orders: [fn(usize) -> usize; 3] = [|n| n, |n| 299 - n, |n| n * 7 % 300];
        for order in orders {
            let mut entries = Entries::new();
            for number in (0..300).map(order) {
                entries.insert(&name(number), ids[number]);
            }
            let expected: Vec<_> = (0..300).map(|n| (name(n), ids[n])).collect();
            assert_eq!(as_map(&entries), expected);
        }
    }

    #[test]
    fn a_directory_filled_in_order_wastes_no_room() {
        let ids = crate::tree::tests::ids(6400);
        let mut entries = Entries::new();
        for (number, id) in ids.into_iter().enumerate() {
            entries.insert(format!("{number:010}").as_bytes(), id);
        }
        let sizes = entries.pieces.iter();
        let bytes: usize = sizes
            .map(|piece| piece.names.capacity() + piece.places.capacity() * size_of::<Place>())
            .sum();
        assert!(bytes < 6400 * 17, "{bytes}");
    }
}
