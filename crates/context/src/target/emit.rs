//! From what was put to the changes of a layer.

use std::collections::{HashMap, HashSet};

use kigumi_layer::{Change, Entry, ImagePath, Kind, Metadata, Node, NodeId};

use super::{Placed, Target};

pub(super) fn changes(target: &Target<'_>) -> Vec<Change> {
    let listed = listed(target);
    let mut changes = Vec::with_capacity(listed.len() + 1);
    changes.extend(root(target));
    let mut files: HashMap<usize, ImagePath> = HashMap::new();
    // Names of files that are listed under another name which comes later: a link follows its target.
    let mut waiting = Vec::new();
    for path in listed {
        let Some(number) = target.number(&path) else {
            changes.extend(parent_as_it_is(target, path));
            continue;
        };
        let Some(placed) = target.nodes.get(number) else {
            continue;
        };
        if let Some(file) = files.get(&number) {
            changes.push(link(path, file));
            continue;
        }
        if let Some(home) = home(target, number, placed).filter(|home| **home != path) {
            waiting.push(link(path, home));
            continue;
        }
        files.insert(number, path.clone());
        changes.push(Change::Put {
            path: path.clone(),
            entry: placed.entry.clone(),
            metadata: placed.metadata.clone(),
        });
        if placed.entry == Entry::Directory && was_replaced(target, &path) {
            changes.push(Change::ClearDir { path });
        }
    }
    changes.extend(waiting);
    changes
}

/// The name that has to be the file's, if it still is one of its names.
fn home<'t>(target: &Target<'_>, number: usize, placed: &'t Placed) -> Option<&'t ImagePath> {
    let home = placed.home.as_ref()?;
    (target.number(home) == Some(number)).then_some(home)
}

/// Whether a directory of the base was gone for a while, so that the one that is there now does not have its entries.
fn was_replaced(target: &Target<'_>, path: &ImagePath) -> bool {
    let before = target.base.get(path);
    target.hidden.contains_key(path) && before.is_some_and(Node::is_directory)
}

fn link(path: ImagePath, target: &ImagePath) -> Change {
    Change::Link {
        path,
        target: target.clone(),
    }
}

/// An unchanged directory above a change is listed with its metadata (T-SNAP-07).
fn parent_as_it_is(target: &Target<'_>, path: ImagePath) -> Option<Change> {
    let metadata = target.seen(&path)?.metadata.clone();
    Some(Change::Put {
        path,
        entry: Entry::Directory,
        metadata,
    })
}

/// The root, if it was given another time: a later `COPY --from` of it takes that over. No layer lists it (T-COPY-18), so
/// whoever writes one leaves it out.
fn root(target: &Target<'_>) -> Option<Change> {
    let path = ImagePath::root();
    let placed = target.nodes.get(target.number(&path)?)?;
    let before = target.base.get(&path)?;
    (placed.metadata != before.metadata).then(|| Change::Put {
        path,
        entry: Entry::Directory,
        metadata: placed.metadata.clone(),
    })
}

/// The paths that a layer has to list, in its order: what is not as it was, and the directories above. Never the root (T-COPY-18).
fn listed(target: &Target<'_>) -> Vec<ImagePath> {
    let mut groups: HashMap<usize, Vec<&ImagePath>> = HashMap::new();
    for path in target.names.keys() {
        if let Some(number) = target.number(path) {
            groups.entry(number).or_default().push(path);
        }
    }
    let mut listed = HashSet::new();
    for (number, names) in groups {
        let Some(placed) = target.nodes.get(number) else {
            continue;
        };
        if is_unchanged(target, placed, &names) {
            continue;
        }
        for name in names {
            let mut at = name.clone();
            while !at.is_root() && listed.insert(at.clone()) {
                at = at.parent().unwrap_or_default();
            }
        }
    }
    let mut listed: Vec<ImagePath> = listed.into_iter().collect();
    listed.sort_unstable();
    listed
}

/// Whether the base has one and the same node, equal to `placed`, at all its names.
fn is_unchanged(target: &Target<'_>, placed: &Placed, names: &[&ImagePath]) -> bool {
    let mut nodes = names.iter().map(|name| base_node(target, name));
    let Some(Some(first)) = nodes.next() else {
        return false;
    };
    nodes.all(|node| node == Some(first)) && is_same(target.base.node(first), placed)
}

fn base_node(target: &Target<'_>, path: &ImagePath) -> Option<NodeId> {
    if target.is_hidden(path) {
        return None;
    }
    target.base.lookup(path)
}

/// Directories are compared without their time, as every snapshot does (T-SNAP-25).
fn is_same(node: &Node, placed: &Placed) -> bool {
    match (&node.kind, &placed.entry) {
        (Kind::Directory(_), Entry::Directory) => {
            let timeless = |metadata: &Metadata| Metadata {
                mtime: kigumi_layer::Timestamp::default(),
                ..metadata.clone()
            };
            timeless(&node.metadata) == timeless(&placed.metadata)
        }
        (Kind::File(before), Entry::File(after)) => {
            before.same_content(after) && node.metadata == placed.metadata
        }
        (kind, entry) => Entry::of(kind) == *entry && node.metadata == placed.metadata,
    }
}
