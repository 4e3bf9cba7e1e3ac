/// How many slots are allocated at once. With as many, a piece of records of any kind is of a size that allocators have with little left over.
const PIECE: usize = 256;

/// A table by number that grows by pieces: one that grows by doubling would be there twice while it does.
#[derive(Debug)]
pub(super) struct Slots<H, T> {
    pieces: Vec<Piece<H, T>>,
}

/// Slots with consecutive numbers, and what they have in common.
#[derive(Debug)]
struct Piece<H, T> {
    head: H,
    /// Empty as long as none is used.
    slots: Vec<T>,
}

impl<H, T> Default for Slots<H, T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<H: Copy + Default, T: Copy + Default> Slots<H, T> {
    /// A slot, and the head of its piece.
    pub(super) fn get(&self, number: usize) -> Option<(&H, &T)> {
        let piece = self.pieces.get(number / PIECE)?;
        Some((&piece.head, piece.slots.get(number % PIECE)?))
    }

    /// A slot that was made before.
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        let piece = self.pieces.get_mut(number / PIECE)?;
        piece.slots.get_mut(number % PIECE)
    }

    /// The head of the piece that has a slot. The first slot of a piece to be asked for says what that is.
    pub(super) fn head(&mut self, number: usize, first: impl FnOnce() -> H) -> H {
        let at = number / PIECE;
        while at >= self.pieces.len() {
            self.pieces.push(Piece {
                head: H::default(),
                slots: Vec::new(),
            });
        }
        let Some(piece) = self.pieces.get_mut(at) else {
            return H::default();
        };
        if piece.slots.is_empty() {
            piece.head = first();
            piece.slots.reserve_exact(PIECE);
            piece.slots.resize(PIECE, T::default());
        }
        piece.head
    }

    /// All slots that there are.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (H, &mut T)> {
        self.pieces.iter_mut().flat_map(|piece| {
            let head = piece.head;
            piece.slots.iter_mut().map(move |slot| (head, slot))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_there_with_all_of_its_piece_and_the_head_that_came_first() {
        let mut slots: Slots<u8, u16> = Slots::default();
        assert_eq!(slots.get(300), None);
        assert_eq!(slots.head(300, || 7), 7);
        assert_eq!(slots.head(301, || 8), 7);
        *slots.get_mut(300).unwrap() = 1;
        assert_eq!(slots.get(300), Some((&7, &1)));
        assert_eq!(slots.get(511), Some((&7, &0)));
        assert_eq!((slots.get(255), slots.get(512)), (None, None));
        assert!(slots.get_mut(255).is_none());
        assert_eq!(slots.iter_mut().count(), 256);
    }
}
