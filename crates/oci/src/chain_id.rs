use std::fmt;

use crate::{DiffId, Digest};

/// The digest over a stack of `diff_ids`, base layer first. image-spec v1.1 config.md § Layer `ChainID`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChainId(pub Digest);

impl ChainId {
    /// The chain id of `diff_ids`, base layer first; `None` for no layers at all.
    pub fn of(diff_ids: &[DiffId]) -> Option<Self> {
        let (first, rest) = diff_ids.split_first()?;
        let chain = rest.iter().fold(first.0, |below, diff_id| {
            Digest::of(format!("{below} {diff_id}").as_bytes())
        });
        Some(Self(chain))
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_of_one_layer_is_its_diff_id() {
        let diff_id = DiffId(Digest::of(b"a"));
        assert_eq!(ChainId::of(&[diff_id]), Some(ChainId(diff_id.0)));
        assert_eq!(ChainId::of(&[]), None);
    }

    #[test]
    fn order_of_layers_matters() {
        let (a, b) = (DiffId(Digest::of(b"a")), DiffId(Digest::of(b"b")));
        assert_ne!(ChainId::of(&[a, b]), ChainId::of(&[b, a]));
    }
}
