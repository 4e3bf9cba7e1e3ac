mod apply;
pub(crate) mod marks;
mod nodes;
mod resolve;
mod walk;

use std::collections::{HashMap, HashSet};

use crate::{Entries, ImagePath, Kind, Metadata, Mode, Node, Timestamp};

pub use apply::Effect;
use marks::Marks;
use nodes::Nodes;
pub use resolve::{Follow, Resolved};
pub use walk::Walk;

/// An inode of one particular tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(u32);

impl NodeId {
    /// Its number in its tree: numbers are small, and used again when a node is gone.
    pub const fn number(self) -> usize {
        self.0 as usize
    }
}

/// A filesystem as a value: paths lead to nodes, and a node with several names is one node.
///
/// It is what a layer is applied to, what a snapshot gives, and what two snapshots are compared as.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Nodes,
    free: Vec<NodeId>,
    /// How many names those nodes have that have several.
    links: HashMap<NodeId, u32>,
    /// What the layer being applied put; nodes of earlier ones are "lower".
    current: Marks,
    /// Names that the layer being applied gave to nodes of lower ones, by directory: the node is lower, the name is not.
    linked: HashSet<(NodeId, Box<[u8]>)>,
}

const ROOT: NodeId = NodeId(0);

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree that holds nothing but a root directory 0755 root:root.
    pub fn new() -> Self {
        let root = Node {
            kind: Kind::Directory(Entries::new()),
            metadata: Metadata::root_owned(Mode::DIRECTORY, Timestamp::default()),
        };
        let mut nodes = Nodes::default();
        nodes.push(root);
        Self {
            nodes,
            free: Vec::new(),
            links: HashMap::new(),
            current: Marks::default(),
            linked: HashSet::new(),
        }
    }

    /// The root directory.
    pub fn root(&self) -> NodeId {
        ROOT
    }

    /// A node of this tree.
    ///
    /// # Panics
    /// When `id` is not from this tree, or its node was removed: a bug of the caller.
    #[expect(clippy::expect_used, reason = "ids are handed out by the tree itself")]
    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id.number()).expect("an id of this tree")
    }

    /// A node of this tree, to change its metadata or content.
    ///
    /// # Panics
    /// As [`Tree::node`].
    #[expect(clippy::expect_used, reason = "ids are handed out by the tree itself")]
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(id.number()).expect("an id of this tree")
    }

    /// How many names a node of this tree has.
    pub fn links(&self, id: NodeId) -> u32 {
        self.links.get(&id).copied().unwrap_or(1)
    }

    /// What is at `path`, following no link at all.
    pub fn lookup(&self, path: &ImagePath) -> Option<NodeId> {
        path.components()
            .try_fold(ROOT, |directory, name| self.child(directory, name))
    }

    /// The node at `path`, following no link at all.
    pub fn get(&self, path: &ImagePath) -> Option<&Node> {
        self.lookup(path).map(|id| self.node(id))
    }

    /// One entry of a directory.
    pub fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        self.node(directory).entries()?.get(name)
    }

    /// The entries of a directory in order of their names; none for anything else.
    pub fn children(&self, directory: NodeId) -> impl Iterator<Item = (&[u8], NodeId)> {
        self.node(directory)
            .entries()
            .into_iter()
            .flat_map(Entries::in_order)
    }

    /// Every path with its node, parents first, in the order of [`ImagePath`]; the root comes first.
    pub fn walk(&self) -> Walk<'_> {
        Walk::below(self, ImagePath::root(), ROOT)
    }

    /// As [`Tree::walk`], from `path` downwards and with it; nothing when there is none.
    pub fn walk_below(&self, path: &ImagePath) -> Walk<'_> {
        match self.lookup(path) {
            Some(id) => Walk::below(self, path.clone(), id),
            None => Walk::nothing(self),
        }
    }

    /// How many nodes there are, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// All nodes, each once whatever its names, in no order that means anything.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        let free: HashSet<NodeId> = self.free.iter().copied().collect();
        let all = (0..self.nodes.len()).filter_map(|number| u32::try_from(number).ok());
        all.map(NodeId).filter(move |id| !free.contains(id))
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// Whether a node is the very same here and in a tree that one of the two is a clone of, its names included. May say no where nothing differs.
    pub(crate) fn shares(&self, other: &Self, id: NodeId) -> bool {
        let has_one_name = |tree: &Self| !tree.links.contains_key(&id);
        self.nodes.share(&other.nodes, id.number()) && has_one_name(self) && has_one_name(other)
    }

    #[cfg(test)]
    pub(crate) fn id(number: u32) -> NodeId {
        NodeId(number)
    }

    /// A new node, which the layer being applied puts.
    fn allocate(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.free.pop() {
            self.current.insert(id);
            if let Some(slot) = self.nodes.slot(id.number()) {
                *slot = Some(node);
            }
            return id;
        }
        #[expect(clippy::expect_used, reason = "2^32 nodes do not fit in memory")]
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        self.nodes.push(node);
        self.current.insert(id);
        id
    }

    fn set_entry(&mut self, directory: NodeId, name: &[u8], id: NodeId) {
        if let Kind::Directory(entries) = &mut self.node_mut(directory).kind {
            entries.insert(name, id);
        }
    }

    /// Removes an entry and, with its last name, the node and all that lies below.
    fn unlink(&mut self, directory: NodeId, name: &[u8]) {
        let Kind::Directory(entries) = &mut self.node_mut(directory).kind else {
            return;
        };
        let Some(id) = entries.remove(name) else {
            return;
        };
        let mut doomed = vec![id];
        while let Some(id) = doomed.pop() {
            if self.has_another_name(id) {
                continue;
            }
            if let Kind::Directory(entries) = &self.node(id).kind {
                doomed.extend(entries.in_order().map(|(_, id)| id));
            }
            if let Some(slot) = self.nodes.slot(id.number()) {
                *slot = None;
            }
            self.free.push(id);
        }
    }

    fn add_name(&mut self, id: NodeId) {
        *self.links.entry(id).or_insert(1) += 1;
    }

    /// Takes one name from a node, and says whether it has another.
    fn has_another_name(&mut self, id: NodeId) -> bool {
        let Some(links) = self.links.get_mut(&id) else {
            return false;
        };
        *links -= 1;
        if *links == 1 {
            self.links.remove(&id);
        }
        true
    }
}

#[cfg(test)]
pub(crate) mod tests;
