mod shared;
mod undo;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::iter::Peekable;

use crate::{Change, Entries, Entry, ImagePath, NodeId, Tree};

use shared::Shared;
pub use undo::undo;

/// The changeset that makes `after` of `before`, in the order in which a layer lists it: parents first, the first name of a
/// group of hard links as the file and the others as links to it.
///
/// * A directory above a change is listed once, with its metadata (T-SNAP-07).
/// * A deletion is listed for the topmost path only, and never below a path that was replaced (T-SNAP-08, T-SNAP-09).
/// * One more hard link lists the whole group again, because a link may only point into its own layer (T-SNAP-23).
pub fn diff(before: &Tree, after: &Tree) -> Vec<Change> {
    Changes::between(before, after).collect()
}

/// The changes of [`diff`], each made when it is asked for: a RUN may write more files than there is room for changes. A clone of it starts where it is.
#[derive(Clone)]
pub struct Changes<'a> {
    before: &'a Tree,
    after: &'a Tree,
    shared: Shared,
    links: LinkGroups,
    /// The directories from the root to where it is.
    stack: Vec<Frame<'a>>,
    /// What was found and not yet asked for.
    found: VecDeque<Change>,
    /// Directories on the way that are not listed yet.
    parents: Vec<(ImagePath, NodeId)>,
}

impl fmt::Debug for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("at", &self.stack.last().map(|frame| &frame.path))
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl Iterator for Changes<'_> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        while self.found.is_empty() && !self.stack.is_empty() {
            self.step();
        }
        self.found.pop_front()
    }
}

type Names<'a> = Peekable<crate::entries::Iter<'a>>;

/// A directory whose entries are being compared.
#[derive(Clone)]
struct Frame<'a> {
    path: ImagePath,
    old: Names<'a>,
    new: Names<'a>,
}

/// What one name leads to in both trees.
struct Pair<'a> {
    name: &'a [u8],
    old: Option<NodeId>,
    new: Option<NodeId>,
}

impl<'a> Frame<'a> {
    fn new(path: ImagePath, old: Names<'a>, new: Names<'a>) -> Self {
        Self { path, old, new }
    }

    fn next(&mut self) -> Option<Pair<'a>> {
        let order = match (self.old.peek(), self.new.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = order.is_le().then(|| self.old.next()).flatten();
        let new = order.is_ge().then(|| self.new.next()).flatten();
        let (name, _) = new.or(old)?;
        Some(Pair {
            name,
            old: old.map(|(_, id)| id),
            new: new.map(|(_, id)| id),
        })
    }
}

impl<'a> Changes<'a> {
    /// From the first change on.
    pub fn between(before: &'a Tree, after: &'a Tree) -> Self {
        let shared = Shared::of(before, after);
        let mut changes = Self {
            before,
            after,
            links: LinkGroups::new(before, after, &shared),
            shared,
            stack: Vec::new(),
            found: VecDeque::new(),
            parents: Vec::new(),
        };
        let root = changes.frame(ImagePath::root(), Some(before.root()), after.root());
        changes.stack.push(root);
        changes
    }

    /// Looks at one more name. Not recursive: a tree may be two thousand directories deep.
    fn step(&mut self) {
        let Some(frame) = self.stack.last_mut() else {
            return;
        };
        let Some(pair) = frame.next() else {
            let left = self.stack.pop();
            self.parents
                .pop_if(|(path, _)| left.is_some_and(|frame| frame.path == *path));
            return;
        };
        let (after, before) = (self.after, self.before);
        match pair.new {
            None => {
                let path = frame.path.join(pair.name);
                self.list(Change::Delete { path });
            }
            Some(new) if after.node(new).is_directory() => {
                if self.shared.has(pair.old, new) {
                    return;
                }
                let path = frame.path.join(pair.name);
                let below = self.enter(path, pair.old, new);
                self.stack.push(below);
            }
            Some(new) => {
                let is_unchanged = pair
                    .old
                    .is_some_and(|old| after.node(new).unchanged_since(before.node(old)));
                if !is_unchanged || self.links.is_broken(new) {
                    let path = frame.path.join(pair.name);
                    self.list_node(&path, new);
                }
            }
        }
    }

    fn frame(&self, path: ImagePath, old: Option<NodeId>, new: NodeId) -> Frame<'a> {
        static NOTHING: Entries = Entries::new();
        let entries = |tree: &'a Tree, id: Option<NodeId>| {
            id.and_then(|id| tree.node(id).entries())
                .unwrap_or(&NOTHING)
                .in_order()
                .peekable()
        };
        Frame::new(
            path,
            entries(self.before, old),
            entries(self.after, Some(new)),
        )
    }

    fn enter(&mut self, path: ImagePath, old: Option<NodeId>, new: NodeId) -> Frame<'a> {
        if self.is_unchanged(old, new) {
            self.parents.push((path.clone(), new));
        } else {
            self.list_node(&path, new);
        }
        self.frame(path, old, new)
    }

    fn is_unchanged(&self, old: Option<NodeId>, new: NodeId) -> bool {
        let node = self.after.node(new);
        old.is_some_and(|old| node.unchanged_since(self.before.node(old)))
    }

    fn list_node(&mut self, path: &ImagePath, id: NodeId) {
        let node = self.after.node(id);
        let change = match self.links.first_name(id, path) {
            Some(target) if !node.is_directory() => Change::Link {
                path: path.clone(),
                target,
            },
            _ => Change::Put {
                path: path.clone(),
                entry: Entry::of(&node.kind),
                metadata: node.metadata.clone(),
            },
        };
        self.list(change);
    }

    fn list(&mut self, change: Change) {
        for (path, id) in std::mem::take(&mut self.parents) {
            self.found.push_back(Change::Put {
                path,
                entry: Entry::Directory,
                metadata: self.after.node(id).metadata.clone(),
            });
        }
        self.found.push_back(change);
    }
}

/// Which nodes of `after` have several names, and which of those groups a layer has to list anew.
#[derive(Clone, Default)]
struct LinkGroups {
    /// Under which name a group is listed; `None` until it is.
    first_names: HashMap<NodeId, Option<ImagePath>>,
    broken: HashSet<NodeId>,
    /// For a node of `before` with several names: the node of `after` that took its place.
    heirs: HashMap<NodeId, NodeId>,
    /// For a node of `after` with several names: the one node of `before` at all of them.
    ancestors: HashMap<NodeId, Option<NodeId>>,
}

impl LinkGroups {
    fn new(before: &Tree, after: &Tree, shared: &Shared) -> Self {
        let mut groups = Self::default();
        let mut directories = vec![(Some(before.root()), after.root())];
        while let Some((old_directory, directory)) = directories.pop() {
            for (name, id) in after.children(directory) {
                let old = old_directory.and_then(|directory| before.child(directory, name));
                let node = after.node(id);
                if node.is_directory() {
                    let is_differing = !shared.has(old, id);
                    directories.extend(is_differing.then_some((old, id)));
                    continue;
                }
                let old_links = old.map_or(0, |old| before.links(old));
                let links = after.links(id);
                if links < 2 && old_links < 2 {
                    continue;
                }
                let heir = old.filter(|old| node.unchanged_since(before.node(*old)));
                groups.add(id, links, heir, old_links);
            }
        }
        groups
    }

    /// Adds one name. `old` is what an unchanged file was before, at this name.
    fn add(&mut self, id: NodeId, links: u32, old: Option<NodeId>, old_links: u32) {
        if links > 1 {
            self.first_names.insert(id, None);
            if *self.ancestors.entry(id).or_insert(old) != old || old.is_none() {
                self.broken.insert(id);
            }
        }
        // Names that were links of each other and are now files of their own: all but the first are new.
        if let Some(old) = old.filter(|_| old_links > 1)
            && *self.heirs.entry(old).or_insert(id) != id
        {
            self.broken.insert(id);
        }
    }

    fn is_broken(&self, id: NodeId) -> bool {
        self.broken.contains(&id)
    }

    /// The name under which the node is already listed; `None` when `path` is the first.
    fn first_name(&mut self, id: NodeId, path: &ImagePath) -> Option<ImagePath> {
        let first = self.first_names.get_mut(&id)?;
        if first.is_none() {
            *first = Some(path.clone());
            return None;
        }
        first.clone()
    }
}

#[cfg(test)]
pub(crate) mod tests;
