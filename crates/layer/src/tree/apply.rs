use std::collections::HashSet;

use super::ROOT;
use crate::{
    Change, Entries, Entry, Error, Follow, ImagePath, Kind, Metadata, Mode, Node, NodeId,
    Timestamp, Tree,
};

/// What applying a change did, for whoever does the same on a disk. All paths are free of links.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Effect {
    /// What disappeared, topmost paths only, before anything was put.
    pub removed: Vec<ImagePath>,
    /// Directories that had to be made on the way (0755 root:root), from the top downwards.
    pub made: Vec<ImagePath>,
    /// Where the entry lies now; `None` when nothing was put.
    pub placed: Option<ImagePath>,
    /// For a hard link, where its target lies.
    pub target: Option<ImagePath>,
}

impl Tree {
    /// From here on, changes belong to a new layer: whiteouts act on what is in the tree now.
    pub fn begin_layer(&mut self) {
        self.current.clear();
        self.linked.clear();
    }

    /// Applies one change. Links on the way are followed inside the root, the last component never is (T-UNPACK-02, T-UNPACK-05).
    ///
    /// # Errors
    /// [`Error`] when the change cannot be applied; parents that it asked for may have been made.
    pub fn apply(&mut self, change: Change) -> Result<Effect, Error> {
        match change {
            Change::Put {
                path,
                entry,
                metadata,
            } => self.put(&path, entry, metadata),
            Change::Link { path, target } => self.link(&path, &target),
            Change::Delete { path } => self.delete(&path),
            Change::ClearDir { path } => self.clear(&path),
        }
    }

    /// Applies a whole layer.
    ///
    /// # Errors
    /// As [`Tree::apply`].
    pub fn apply_layer(&mut self, changes: impl IntoIterator<Item = Change>) -> Result<(), Error> {
        self.begin_layer();
        changes
            .into_iter()
            .try_for_each(|change| self.apply(change).map(drop))
    }

    fn put(&mut self, path: &ImagePath, entry: Entry, metadata: Metadata) -> Result<Effect, Error> {
        let Some(name) = path.file_name() else {
            return self.put_root(&entry, metadata);
        };
        let (parent, mut effect) = self.make_parent(path)?;
        let place = place(&effect, path, name);
        if let Some(id) = self.child(parent, name) {
            let node = self.node_mut(id);
            if matches!((&node.kind, &entry), (Kind::Directory(_), Entry::Directory)) {
                node.metadata = metadata;
                self.current.insert(id);
                effect.placed = Some(place);
                return Ok(effect);
            }
            self.unlink(parent, name);
            effect.removed.push(place.clone());
        }
        let id = self.allocate(Node {
            kind: entry.into_kind(),
            metadata,
        });
        self.set_entry(parent, name, id);
        effect.placed = Some(place);
        Ok(effect)
    }

    fn put_root(&mut self, entry: &Entry, metadata: Metadata) -> Result<Effect, Error> {
        if *entry != Entry::Directory {
            return Err(Error::ReplaceRoot);
        }
        self.node_mut(ROOT).metadata = metadata;
        Ok(Effect {
            placed: Some(ImagePath::root()),
            ..Effect::default()
        })
    }

    fn link(&mut self, path: &ImagePath, target: &ImagePath) -> Result<Effect, Error> {
        let name = path.file_name().ok_or(Error::ReplaceRoot)?;
        // The parent first: making it may remove the very file that the link names.
        let (parent, mut effect) = self.make_parent(path)?;
        let found = self.resolve(target, Follow::Parents)?;
        let id = found.node.ok_or_else(|| Error::LinkTargetMissing {
            path: path.clone(),
            target: target.clone(),
        })?;
        if self.node(id).is_directory() {
            return Err(Error::LinkTargetIsDirectory {
                path: path.clone(),
                target: target.clone(),
            });
        }
        let place = place(&effect, path, name);
        // An unpacker has to remove what is in the way before it makes the link: the target would go with it.
        if found.path.starts_with(&place) {
            return Err(Error::LinkTargetMissing {
                path: path.clone(),
                target: target.clone(),
            });
        }
        effect.target = Some(found.path);
        effect.placed = Some(place.clone());
        let existing = self.child(parent, name);
        if !self.current.contains(id) {
            self.linked.insert((parent, name.into()));
        }
        if existing == Some(id) {
            return Ok(effect);
        }
        self.add_name(id);
        if existing.is_some() {
            self.unlink(parent, name);
            effect.removed.push(place);
        }
        self.set_entry(parent, name, id);
        Ok(effect)
    }

    /// image-spec v1.1 layer.md § Whiteouts: a whiteout hides lower entries only, so one of the same layer stays.
    fn delete(&mut self, path: &ImagePath) -> Result<Effect, Error> {
        let mut effect = Effect::default();
        let Some(name) = path.file_name() else {
            return Err(Error::ReplaceRoot);
        };
        let found = match self.resolve(path, Follow::Parents) {
            Ok(found) => found,
            // What lies below a file is not there: nothing to delete.
            Err(Error::NotADirectory { .. }) => return Ok(effect),
            Err(error) => return Err(error),
        };
        let Some(id) = found.node else {
            return Ok(effect);
        };
        let Some(parent) = found.path.parent().and_then(|parent| self.lookup(&parent)) else {
            return Ok(effect);
        };
        let holders = self.holders_of_current(id);
        if self.is_current(parent, name, id) || holders.contains(&id) {
            self.hide_lower(id, &found.path, &holders, &mut effect.removed);
        } else {
            self.unlink(parent, name);
            effect.removed.push(found.path);
        }
        Ok(effect)
    }

    fn clear(&mut self, path: &ImagePath) -> Result<Effect, Error> {
        let mut effect = Effect::default();
        let found = match self.resolve(path, Follow::Parents) {
            Ok(found) => found,
            Err(Error::NotADirectory { .. }) => return Ok(effect),
            Err(error) => return Err(error),
        };
        if let Some(id) = found.node {
            let holders = self.holders_of_current(id);
            self.hide_lower(id, &found.path, &holders, &mut effect.removed);
        }
        Ok(effect)
    }

    /// Removes from a directory what this layer did not put there. Entries of one layer may come before or after its opaque marker.
    fn hide_lower(
        &mut self,
        directory: NodeId,
        path: &ImagePath,
        holders: &HashSet<NodeId>,
        removed: &mut Vec<ImagePath>,
    ) {
        let mut todo = vec![(directory, path.clone())];
        while let Some((directory, path)) = todo.pop() {
            let entries: Vec<(Box<[u8]>, NodeId)> = self
                .children(directory)
                .map(|(name, id)| (name.into(), id))
                .collect();
            for (name, id) in entries {
                if self.is_current(directory, &name, id) || holders.contains(&id) {
                    todo.push((id, path.join(&name)));
                } else {
                    self.unlink(directory, &name);
                    removed.push(path.join(&name));
                }
            }
        }
    }

    /// Whether the layer being applied put this entry of a directory there.
    fn is_current(&self, directory: NodeId, name: &[u8], id: NodeId) -> bool {
        self.current.contains(id) || self.is_linked(directory, name)
    }

    fn is_linked(&self, directory: NodeId, name: &[u8]) -> bool {
        !self.linked.is_empty() && self.linked.contains(&(directory, name.into()))
    }

    /// The directories, from `top` downwards, below which the layer being applied put anything.
    fn holders_of_current(&self, top: NodeId) -> HashSet<NodeId> {
        let mut directories = vec![top];
        let mut next = 0;
        while let Some(directory) = directories.get(next).copied() {
            next += 1;
            let below = self.children(directory).map(|(_, id)| id);
            directories.extend(below.filter(|id| self.node(*id).is_directory()));
        }
        let mut holders = HashSet::new();
        // What lies deeper comes later in the list, so that it is known before what holds it.
        for directory in directories.into_iter().rev() {
            let holds = self
                .children(directory)
                .any(|(name, id)| self.is_current(directory, name, id) || holders.contains(&id));
            if holds {
                holders.insert(directory);
            }
        }
        holders
    }

    /// The directory that shall hold `path`, made if it is missing; a file in the way is replaced, as an unpacker must.
    fn make_parent(&mut self, path: &ImagePath) -> Result<(NodeId, Effect), Error> {
        let parent = path.parent().unwrap_or_default();
        let mut effect = Effect::default();
        let resolved = loop {
            match self.resolve(&parent, Follow::All) {
                Ok(resolved) => break resolved,
                Err(Error::NotADirectory { at, .. }) => self.remove_in_the_way(&at, &mut effect),
                Err(error) => return Err(error),
            }
        };
        let mut here = ROOT;
        for (depth, name) in resolved.path.components().enumerate() {
            // Not kept up step by step: copying it at each would make deep paths quadratic.
            let at = || ImagePath::from_components(resolved.path.components().take(depth + 1));
            here = match self.child(here, name) {
                Some(id) if self.node(id).is_directory() => id,
                other => {
                    if other.is_some() {
                        self.unlink(here, name);
                        effect.removed.push(at());
                    }
                    let id = self.allocate(Node {
                        kind: Kind::Directory(Entries::new()),
                        metadata: Metadata::root_owned(Mode::DIRECTORY, Timestamp::default()),
                    });
                    self.set_entry(here, name, id);
                    effect.made.push(at());
                    id
                }
            };
        }
        effect.target = None;
        effect.placed = Some(resolved.path);
        Ok((here, effect))
    }

    fn remove_in_the_way(&mut self, at: &ImagePath, effect: &mut Effect) {
        let holder = at.parent().and_then(|parent| self.lookup(&parent));
        if let (Some(holder), Some(name)) = (holder, at.file_name()) {
            self.unlink(holder, name);
            effect.removed.push(at.clone());
        }
    }
}

/// Where `name` lies: below the parent that [`Tree::make_parent`] found.
fn place(effect: &Effect, path: &ImagePath, name: &[u8]) -> ImagePath {
    effect
        .placed
        .as_ref()
        .map_or_else(|| path.clone(), |parent| parent.join(name))
}
