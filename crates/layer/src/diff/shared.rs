//! What two trees need not be compared in.

use crate::tree::marks::Marks;
use crate::{Entries, NodeId, Tree};

/// Directories that are the same in a tree and its clone, with all that lies below: most of an image after most steps.
///
/// A node that both trees share leads to the same nodes in both, so a directory whose nodes are all shared has nothing to compare. That holds for nodes with
/// one name only: what the others of a group of hard links have become is seen elsewhere, so a directory with such a name is never one of these.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// The directories that are not.
    differing: Marks,
}

impl Shared {
    pub(super) fn of(before: &Tree, after: &Tree) -> Self {
        let mut differing = Marks::default();
        let root = after.root();
        if !after.shares(before, root) {
            differing.insert(root);
        }
        let entries = |id: NodeId| after.node(id).entries().map(Entries::in_order);
        // The directories from the root to where it is. Not recursive: a tree may be two thousand directories deep.
        let mut way = Vec::new();
        way.extend(entries(root).map(|entries| (root, entries)));
        while let Some((_, names)) = way.last_mut() {
            let Some((_, id)) = names.next() else {
                way.pop();
                continue;
            };
            let below = entries(id);
            if !after.shares(before, id) {
                if below.is_some() {
                    differing.insert(id);
                }
                let above = way.iter().rev().map(|(above, _)| *above);
                mark(above, &mut differing);
            }
            way.extend(below.map(|entries| (id, entries)));
        }
        Self { differing }
    }

    /// Whether a directory of the tree after is that of the tree before, with all below.
    pub(super) fn has(&self, old: Option<NodeId>, new: NodeId) -> bool {
        old == Some(new) && !self.differing.contains(new)
    }
}

/// Marks directories from the deepest one up to the first that is marked, as are all above that.
fn mark(directories: impl Iterator<Item = NodeId>, differing: &mut Marks) {
    for id in directories {
        if differing.contains(id) {
            return;
        }
        differing.insert(id);
    }
}
