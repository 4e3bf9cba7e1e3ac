use std::sync::Arc;

use crate::Node;

/// With as many, a piece fits a size that allocators have (16 KiB) with nothing left over.
const FITTING: usize = 157;
/// How many nodes are copied when one of them changes. The trees of tests have a dozen nodes, and are to share some of them all the same.
const CHUNK: usize = if cfg!(test) { 3 } else { FITTING };

/// The nodes of a tree by number. A clone shares them: what a snapshot did not touch exists once, in the tree before and the tree after.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    chunks: Vec<Arc<Vec<Option<Node>>>>,
    length: usize,
}

impl Nodes {
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) fn get(&self, number: usize) -> Option<&Node> {
        self.chunks
            .get(number / CHUNK)?
            .get(number % CHUNK)?
            .as_ref()
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Node> {
        self.slot(number)?.as_mut()
    }

    /// Whether both have one and the same node of this number, because they are clones and nothing near it has changed. Costs nothing, and may say no where
    /// nothing differs.
    pub(super) fn share(&self, other: &Self, number: usize) -> bool {
        let at = number / CHUNK;
        match (self.chunks.get(at), other.chunks.get(at)) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, _) | (_, None) => false,
        }
    }

    /// The place of a number that was given out, full or not.
    pub(super) fn slot(&mut self, number: usize) -> Option<&mut Option<Node>> {
        let chunk = self.chunks.get_mut(number / CHUNK)?;
        Arc::make_mut(chunk).get_mut(number % CHUNK)
    }

    pub(super) fn push(&mut self, node: Node) {
        if self.length.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::new(Vec::new()));
        }
        if let Some(last) = self.chunks.last_mut() {
            let chunk = Arc::make_mut(last);
            // At once, and never more: a list that grows by doubling leaves half of it unused and its former places behind.
            chunk.reserve_exact(CHUNK - chunk.len());
            chunk.push(Some(node));
            self.length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entries, Kind, Metadata};

    fn node(uid: u32) -> Node {
        let metadata = Metadata {
            uid,
            ..Metadata::default()
        };
        Node {
            kind: Kind::Directory(Entries::new()),
            metadata,
        }
    }

    #[test]
    fn a_piece_fits_what_an_allocator_has() {
        assert_eq!(size_of::<Option<Node>>(), 104);
        assert!((16_000..=16_384).contains(&(FITTING * size_of::<Option<Node>>())));
    }

    #[test]
    fn a_clone_shares_what_is_not_changed_and_nothing_else() {
        let mut first = Nodes::default();
        for number in 0..1000 {
            first.push(node(number));
        }
        let mut second = first.clone();
        second.get_mut(500).unwrap().metadata.uid = 7;
        *second.slot(501).unwrap() = None;
        second.push(node(1000));
        assert_eq!((first.len(), second.len()), (1000, 1001));
        assert!(first.get(1000).is_none());
        for number in 0..1000 {
            assert_eq!(first.get(number).unwrap().metadata.uid as usize, number);
            let expected = match number {
                500 => Some(7),
                501 => None,
                _ => Some(number),
            };
            let found = second.get(number).map(|node| node.metadata.uid as usize);
            assert_eq!(found, expected);
        }
        let is_near = |number: usize| {
            let changed = [500, 501, 1000];
            changed.iter().any(|at| at / CHUNK == number / CHUNK)
        };
        for number in 0..1001 {
            assert_eq!(first.share(&second, number), !is_near(number), "{number}");
        }
        assert!((0..1001).any(|number| first.share(&second, number)));
    }
}
