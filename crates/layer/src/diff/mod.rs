use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{Change, Entry, ImagePath, NodeId, Tree};

/// The changeset that makes `after` of `before`, in the order in which a layer lists it: parents first, the first name of a
/// group of hard links as the file and the others as links to it.
///
/// * A directory above a change is listed once, with its metadata (T-SNAP-07).
/// * A deletion is listed for the topmost path only, and never below a path that was replaced (T-SNAP-08, T-SNAP-09).
/// * One more hard link lists the whole group again, because a link may only point into its own layer (T-SNAP-23).
pub fn diff(before: &Tree, after: &Tree) -> Vec<Change> {
    let mut differ = Differ {
        before,
        after,
        links: LinkGroups::new(before, after),
        changes: Vec::new(),
        parents: Vec::new(),
    };
    differ.directory(&ImagePath::root(), Some(before.root()), after.root());
    differ.changes
}

struct Differ<'a> {
    before: &'a Tree,
    after: &'a Tree,
    links: LinkGroups,
    changes: Vec<Change>,
    /// Directories on the way that are not listed yet.
    parents: Vec<(ImagePath, NodeId)>,
}

impl Differ<'_> {
    fn directory(&mut self, path: &ImagePath, before: Option<NodeId>, after: NodeId) {
        let old: BTreeMap<&[u8], NodeId> = before
            .map(|id| self.before.children(id).collect())
            .unwrap_or_default();
        let new: BTreeMap<&[u8], NodeId> = self.after.children(after).collect();
        let names: BTreeSet<&[u8]> = old.keys().chain(new.keys()).copied().collect();
        for name in names {
            let below = path.join(name);
            match (old.get(name), new.get(name)) {
                (Some(_), None) => self.list(Change::Delete { path: below }),
                (old, Some(new)) => self.entry(&below, old.copied(), *new),
                (None, None) => {}
            }
        }
    }

    fn entry(&mut self, path: &ImagePath, before: Option<NodeId>, after: NodeId) {
        let node = self.after.node(after);
        let unchanged = before.is_some_and(|id| node.unchanged_since(self.before.node(id)));
        if !node.is_directory() {
            if !unchanged || self.links.is_broken(after) {
                self.list_node(path, after);
            }
            return;
        }
        let was_directory = before.filter(|id| self.before.node(*id).is_directory());
        if unchanged {
            self.parents.push((path.clone(), after));
        } else {
            self.list_node(path, after);
        }
        self.directory(path, was_directory, after);
        self.parents.pop_if(|(pending, _)| pending == path);
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
            self.changes.push(Change::Put {
                path,
                entry: Entry::Directory,
                metadata: self.after.node(id).metadata.clone(),
            });
        }
        self.changes.push(change);
    }
}

/// Which nodes of `after` have several names, and which of those groups a layer has to list anew.
struct LinkGroups {
    first_names: HashMap<NodeId, Option<ImagePath>>,
    broken: BTreeSet<NodeId>,
}

impl LinkGroups {
    fn new(before: &Tree, after: &Tree) -> Self {
        let mut groups = Self {
            first_names: HashMap::new(),
            broken: BTreeSet::new(),
        };
        // For a node of `before` with several names: the node of `after` that took its place.
        let mut heirs: HashMap<NodeId, NodeId> = HashMap::new();
        // For a node of `after` with several names: the one node of `before` at all of them.
        let mut ancestors: HashMap<NodeId, Option<NodeId>> = HashMap::new();
        for (path, id) in after.walk() {
            let node = after.node(id);
            if node.is_directory() {
                continue;
            }
            let old = before
                .lookup(&path)
                .filter(|old| node.unchanged_since(before.node(*old)));
            if node.links() > 1 {
                groups.first_names.insert(id, None);
                if *ancestors.entry(id).or_insert(old) != old || old.is_none() {
                    groups.broken.insert(id);
                }
            }
            // Names that were links of each other and are now files of their own: all but the first are new.
            if let Some(old) = old.filter(|old| before.node(*old).links() > 1)
                && *heirs.entry(old).or_insert(id) != id
            {
                groups.broken.insert(id);
            }
        }
        groups
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
mod tests;
