use crate::{ImagePath, NodeId, Tree};

/// Iterates over paths and nodes of a tree, parents first. See [`Tree::walk`].
#[derive(Debug)]
pub struct Walk<'a> {
    tree: &'a Tree,
    /// Still to give, last one first.
    stack: Vec<(ImagePath, NodeId)>,
}

impl<'a> Walk<'a> {
    pub(super) fn below(tree: &'a Tree, path: ImagePath, id: NodeId) -> Self {
        Self {
            tree,
            stack: vec![(path, id)],
        }
    }

    pub(super) fn nothing(tree: &'a Tree) -> Self {
        Self {
            tree,
            stack: Vec::new(),
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = (ImagePath, NodeId);

    fn next(&mut self) -> Option<Self::Item> {
        let (path, id) = self.stack.pop()?;
        let first = self.stack.len();
        self.stack.extend(
            self.tree
                .children(id)
                .map(|(name, child)| (path.join(name), child)),
        );
        if let Some(children) = self.stack.get_mut(first..) {
            children.reverse();
        }
        Some((path, id))
    }
}
