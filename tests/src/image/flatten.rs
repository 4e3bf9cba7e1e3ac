//! The filesystem that the layers of an image add up to.

use std::collections::BTreeMap;
use std::fmt;

use super::{Entry, Image, Kind, Layer, normalise};

/// A merged filesystem. Paths have no leading slash; the root is the empty path.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// By path.
    pub nodes: BTreeMap<String, Node>,
    inodes: usize,
}

/// A file of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is; a hard link has the kind of what it links to.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of a regular file.
    pub size: u64,
    /// Seconds since the epoch.
    pub mtime: i64,
    /// `sha256:<hex>` of a regular file.
    pub sha256: Option<String>,
    /// Target of a symlink.
    pub link: Option<String>,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Major and minor number.
    pub device: Option<(u32, u32)>,
    /// The first path, in order, of the file this is a name of; itself when it has one name only.
    pub first_name: String,
    inode: usize,
}

impl Image {
    /// The filesystem of the image.
    pub fn flatten(&self) -> Tree {
        let mut tree = Tree::default();
        for layer in &self.layers {
            tree.apply(layer);
        }
        tree.name_links();
        tree
    }
}

impl Tree {
    /// The node of a path, with or without a leading slash.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path.trim_start_matches('/'))
    }

    /// Puts a layer on top.
    pub(crate) fn apply(&mut self, layer: &Layer) {
        // A layer's whiteouts hide what lies below it, whatever the order of its entries.
        for entry in &layer.entries {
            self.hide(entry);
        }
        for entry in &layer.entries {
            self.add(entry);
        }
    }

    fn hide(&mut self, entry: &Entry) {
        let Some(name) = normalise(&entry.name) else {
            return;
        };
        let (parent, base) = name.rsplit_once('/').unwrap_or(("", &name));
        if base == ".wh..wh..opq" {
            self.remove_children(parent);
        } else if let Some(hidden) = base.strip_prefix(".wh.") {
            let path = if parent.is_empty() {
                hidden.to_owned()
            } else {
                format!("{parent}/{hidden}")
            };
            self.nodes.remove(&path);
            self.remove_children(&path);
        }
    }

    fn remove_children(&mut self, path: &str) {
        let below = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        self.nodes
            .retain(|name, _| name == path || !name.starts_with(&below));
    }

    fn add(&mut self, entry: &Entry) {
        let Some(name) = normalise(&entry.name) else {
            return;
        };
        if name
            .rsplit('/')
            .next()
            .is_some_and(|base| base.starts_with(".wh."))
        {
            return;
        }
        if entry.kind == Kind::HardLink {
            let target = entry
                .link
                .as_deref()
                .map(|link| link.trim_start_matches('/'));
            let target = target
                .and_then(normalise)
                .and_then(|path| self.nodes.get(&path).cloned());
            if let Some(node) = target {
                self.remove_children(&name);
                self.nodes.insert(name, node);
            }
            return;
        }
        if entry.kind != Kind::Directory {
            self.remove_children(&name);
        }
        self.inodes += 1;
        let node = Node {
            kind: entry.kind,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            mtime: entry.mtime,
            sha256: entry.sha256.clone(),
            link: entry.link.clone(),
            xattrs: entry.xattrs.clone(),
            device: entry.device,
            first_name: String::new(),
            inode: self.inodes,
        };
        self.nodes.insert(name, node);
    }

    /// Sets the first name of every node, once all layers are there.
    pub(crate) fn name_links(&mut self) {
        let mut first: BTreeMap<usize, String> = BTreeMap::new();
        for (name, node) in &mut self.nodes {
            let first_name = first.entry(node.inode).or_insert_with(|| name.clone());
            node.first_name.clone_from(first_name);
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, node) in &self.nodes {
            writeln!(formatter, "{}", node.describe(name))?;
        }
        Ok(())
    }
}

impl Node {
    /// One line: kind, mode, owner, path, and what else there is; no times.
    pub fn describe(&self, name: &str) -> String {
        let Self {
            mode,
            uid,
            gid,
            size,
            ..
        } = self;
        let mut words = vec![format!(
            "{} {mode:04o} {uid}:{gid} /{name}",
            self.kind.letter()
        )];
        words.extend(self.link.as_ref().map(|link| format!("-> {link}")));
        words.extend(
            self.sha256
                .as_ref()
                .map(|sha256| format!("{size} {sha256}")),
        );
        words.extend(self.device.map(|(major, minor)| format!("{major},{minor}")));
        if self.first_name != name {
            words.push(format!("= /{}", self.first_name));
        }
        let xattrs = self.xattrs.iter();
        words.extend(xattrs.map(|(key, value)| format!("{key}={}", hex::encode(value))));
        words.join(" ")
    }
}
