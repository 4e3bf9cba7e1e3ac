use super::NodeId;

/// A set of nodes, one bit for each number there is.
#[derive(Clone, Default, Debug)]
pub(crate) struct Marks(Vec<u64>);

/// In which word of the set a node has its bit, and the bit.
const fn place(id: NodeId) -> (usize, u64) {
    let bits = u64::BITS as usize;
    (id.number() / bits, 1 << (id.number() % bits))
}

impl Marks {
    pub(crate) fn insert(&mut self, id: NodeId) {
        let (word, bit) = place(id);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    pub(crate) fn contains(&self, id: NodeId) -> bool {
        let (word, bit) = place(id);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_in_it_until_it_is_cleared() {
        let mut marks = Marks::default();
        let is_in = |number: u32| number % 7 == 3 || number == 64;
        for number in (0..300).filter(|number| is_in(*number)) {
            marks.insert(crate::Tree::id(number));
        }
        for number in 0..400 {
            let expected = number < 300 && is_in(number);
            assert_eq!(
                marks.contains(crate::Tree::id(number)),
                expected,
                "{number}"
            );
        }
        marks.clear();
        marks.insert(crate::Tree::id(200));
        assert!((0..400).all(|n| marks.contains(crate::Tree::id(n)) == (n == 200)));
    }
}
