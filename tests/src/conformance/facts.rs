//! A built image in the terms of `expect.json`: facts of files, normalised as the README says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Result;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::image::{Entry, Image, Kind, Layer, Node, Tree, normalise};

/// What is known of a path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// No leading slash.
    #[serde(default)]
    pub path: String,
    /// `file`, `dir`, `symlink`, `hardlink`, `fifo`, `char`, `block`, `whiteout`, `absent`.
    #[serde(rename = "type")]
    pub kind: String,
    mode: Option<String>,
    uid: Option<u64>,
    gid: Option<u64>,
    size: Option<u64>,
    sha256: Option<String>,
    linkname: Option<String>,
    #[serde(default)]
    xattrs: BTreeMap<String, String>,
    devmajor: Option<u32>,
    devminor: Option<u32>,
    mtime: Option<i64>,
    linkgroup: Option<String>,
    #[serde(rename = "text")]
    _text: Option<String>,
}

/// A built image.
#[derive(Debug)]
pub struct Found {
    /// Digests of the uncompressed layers, base layer first.
    pub diff_ids: Vec<String>,
    /// The config.
    pub config: Value,
    /// For each layer above the base its entries.
    pub layers: Vec<Vec<Facts>>,
    /// What differs from the base.
    pub rootfs: Vec<Facts>,
}

impl Facts {
    /// Whether this is what was expected; a time counts if the expectation has one.
    pub fn meets(&self, expected: &Self) -> bool {
        let mtime = expected.mtime.and(self.mtime);
        let timed = Self {
            mtime,
            _text: None,
            ..self.clone()
        };
        timed
            == Self {
                _text: None,
                ..expected.clone()
            }
    }

    fn of_kind(path: &str, kind: &str) -> Self {
        Self {
            path: path.to_owned(),
            kind: kind.to_owned(),
            ..Self::default()
        }
    }

    fn of_entry(path: &str, entry: &Entry) -> Self {
        let is_file = entry.kind == Kind::File;
        Self {
            mode: Some(format!("{:04o}", entry.mode)),
            uid: Some(entry.uid),
            gid: Some(entry.gid),
            size: is_file.then_some(entry.size),
            sha256: entry.sha256.as_deref().map(bare_digest),
            linkname: entry.link.clone().filter(|_| entry.kind == Kind::Symlink),
            xattrs: encoded(&entry.xattrs),
            devmajor: entry.device.map(|(major, _)| major),
            devminor: entry.device.map(|(_, minor)| minor),
            mtime: Some(entry.mtime),
            ..Self::of_kind(path, kind_word(entry.kind))
        }
    }

    fn of_node(path: &str, node: &Node, grouped: bool) -> Self {
        let is_file = node.kind == Kind::File;
        Self {
            mode: Some(format!("{:04o}", node.mode)),
            uid: Some(node.uid),
            gid: Some(node.gid),
            size: is_file.then_some(node.size),
            sha256: node.sha256.as_deref().map(bare_digest),
            linkname: node.link.clone(),
            xattrs: encoded(&node.xattrs),
            devmajor: node.device.map(|(major, _)| major),
            devminor: node.device.map(|(_, minor)| minor),
            mtime: Some(node.mtime),
            linkgroup: grouped.then(|| node.first_name.clone()),
            ..Self::of_kind(path, kind_word(node.kind))
        }
    }

    /// The same without what does not make a path differ from the base.
    fn comparable(&self) -> Self {
        let is_dir = self.kind == "dir";
        Self {
            mtime: self.mtime.filter(|_| !is_dir),
            ..self.clone()
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dash = || "-".to_owned();
        write!(formatter, "{} {}", self.kind, self.path)?;
        if let Some(mode) = &self.mode {
            let id = |id: Option<u64>| id.map_or_else(dash, |id| id.to_string());
            write!(formatter, " {mode} {}:{}", id(self.uid), id(self.gid))?;
        }
        if let (Some(size), Some(sha256)) = (self.size, &self.sha256) {
            write!(formatter, " {size} {}", sha256.get(..8).unwrap_or(sha256))?;
        }
        if let Some(target) = &self.linkname {
            write!(formatter, " -> {target}")?;
        }
        if let (Some(major), Some(minor)) = (self.devmajor, self.devminor) {
            write!(formatter, " {major},{minor}")?;
        }
        if let Some(group) = &self.linkgroup {
            write!(formatter, " = {group}")?;
        }
        for (name, value) in &self.xattrs {
            write!(formatter, " {name}={value}")?;
        }
        if let Some(mtime) = self.mtime {
            write!(formatter, " @{mtime}")?;
        }
        Ok(())
    }
}

impl Found {
    /// An image that keeps this number of layers of its base.
    pub fn of(image: &Image, base_layers: usize) -> Result<Self> {
        let mut tree = Tree::default();
        let mut base = Tree::default();
        let mut layers = Vec::new();
        for (number, layer) in image.layers.iter().enumerate() {
            let lower = tree.clone();
            tree.apply(layer);
            if number < base_layers {
                base = tree.clone();
            } else {
                layers.push(layer_facts(layer, &lower, &tree));
            }
        }
        base.name_links();
        tree.name_links();
        Ok(Self {
            diff_ids: image
                .layers
                .iter()
                .map(|layer| layer.diff_id.clone())
                .collect(),
            config: image.config.value.clone(),
            layers,
            rootfs: rootfs_facts(&base, &tree),
        })
    }
}

/// The entries of a layer by path.
fn layer_facts(layer: &Layer, lower: &Tree, upper: &Tree) -> Vec<Facts> {
    let groups = Groups::of(layer);
    let mut facts: BTreeMap<String, Facts> = BTreeMap::new();
    let mut hidden: BTreeSet<String> = BTreeSet::new();
    for entry in &layer.entries {
        let Some(path) = normalise(&entry.name) else {
            facts.insert(entry.name.clone(), Facts::of_kind(&entry.name, "illegal"));
            continue;
        };
        let (parent, base) = path.rsplit_once('/').unwrap_or(("", &path));
        if base == ".wh..wh..opq" {
            hidden.extend(below(lower, parent).map(str::to_owned));
        } else if let Some(name) = base.strip_prefix(".wh.") {
            let gone = if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}/{name}")
            };
            if lower.get(&gone).is_none() {
                facts.insert(gone.clone(), Facts::of_kind(&gone, "redundant whiteout"));
            }
            hidden.extend(below(lower, &gone).map(str::to_owned));
            hidden.insert(gone);
        } else if path.is_empty() || is_mount_point(&path, entry, lower) {
            // An empty directory that a sandbox mounts on, or the root.
        } else {
            facts.insert(path.clone(), groups.facts(&path, entry));
        }
    }
    hidden.retain(|path| lower.get(path).is_some() && upper.get(path).is_none());
    for path in topmost(&hidden) {
        facts.insert(path.clone(), Facts::of_kind(&path, "whiteout"));
    }
    facts.into_values().collect()
}

fn is_mount_point(path: &str, entry: &Entry, lower: &Tree) -> bool {
    matches!(path, "proc" | "sys" | "dev")
        && entry.kind == Kind::Directory
        && lower.get(path).is_none()
}

fn below<'a>(tree: &'a Tree, path: &'a str) -> impl Iterator<Item = &'a str> {
    let inside = move |name: &&str| {
        path.is_empty()
            || name
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    tree.nodes.keys().map(String::as_str).filter(inside)
}

/// Those that have no parent among them.
fn topmost(paths: &BTreeSet<String>) -> Vec<String> {
    let has_parent = |path: &&String| {
        path.match_indices('/')
            .any(|(at, _)| paths.contains(path.split_at(at).0))
    };
    paths
        .iter()
        .filter(|path| !has_parent(path))
        .cloned()
        .collect()
}

/// Hard links of a layer: whichever name the archive has first, the smallest counts as the file.
struct Groups<'a> {
    /// The entry that a path names, through links.
    files: BTreeMap<String, &'a Entry>,
    /// The smallest name of the file that a path names.
    smallest: BTreeMap<String, String>,
}

impl<'a> Groups<'a> {
    fn of(layer: &'a Layer) -> Self {
        // The first name of every file, by path.
        let mut origin: BTreeMap<String, String> = BTreeMap::new();
        let mut entries: BTreeMap<String, &Entry> = BTreeMap::new();
        for entry in &layer.entries {
            let Some(path) = normalise(&entry.name) else {
                continue;
            };
            let link = entry
                .link
                .as_deref()
                .filter(|_| entry.kind == Kind::HardLink);
            let target = link.and_then(|link| normalise(link.trim_start_matches('/')));
            let first = target.and_then(|target| origin.get(&target)).cloned();
            let first = first.unwrap_or_else(|| path.clone());
            entries.insert(path.clone(), entry);
            origin.insert(path, first);
        }
        let mut smallest_of: BTreeMap<&String, &String> = BTreeMap::new();
        for (path, first) in &origin {
            smallest_of.entry(first).or_insert(path);
        }
        let mut groups = Self {
            files: BTreeMap::new(),
            smallest: BTreeMap::new(),
        };
        for (path, first) in &origin {
            if let (Some(entry), Some(smallest)) = (entries.get(first), smallest_of.get(first)) {
                groups.files.insert(path.clone(), entry);
                groups.smallest.insert(path.clone(), (*smallest).clone());
            }
        }
        groups
    }

    fn facts(&self, path: &str, entry: &Entry) -> Facts {
        let file = self.files.get(path).copied().unwrap_or(entry);
        let smallest = self.smallest.get(path).map_or(path, String::as_str);
        if smallest == path {
            let facts = Facts::of_entry(path, file);
            // A link to nothing of this layer stays one.
            return Facts {
                linkname: file.link.clone(),
                ..facts
            };
        }
        Facts {
            kind: "hardlink".to_owned(),
            linkname: Some(smallest.to_owned()),
            size: None,
            sha256: None,
            xattrs: BTreeMap::new(),
            ..Facts::of_entry(path, file)
        }
    }
}

/// Every path whose facts differ, and of those that are gone the topmost.
fn rootfs_facts(base: &Tree, tree: &Tree) -> Vec<Facts> {
    let (before, after) = (all_facts(base), all_facts(tree));
    let mut facts: BTreeMap<String, Facts> = BTreeMap::new();
    for (path, new) in &after {
        let same = before
            .get(path)
            .is_some_and(|old| old.comparable() == new.comparable());
        let dropped = path.is_empty()
            || (matches!(path.as_str(), "proc" | "sys" | "dev") && !before.contains_key(path));
        if !same && !dropped {
            facts.insert(path.clone(), new.clone());
        }
    }
    let gone = before
        .keys()
        .filter(|path| !after.contains_key(*path))
        .cloned()
        .collect();
    for path in topmost(&gone) {
        facts.insert(path.clone(), Facts::of_kind(&path, "absent"));
    }
    facts.into_values().collect()
}

fn all_facts(tree: &Tree) -> BTreeMap<String, Facts> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for node in tree.nodes.values() {
        *names.entry(&node.first_name).or_default() += 1;
    }
    let facts = |(path, node): (&String, &Node)| {
        let grouped = names
            .get(node.first_name.as_str())
            .is_some_and(|count| *count > 1);
        (path.clone(), Facts::of_node(path, node, grouped))
    };
    tree.nodes.iter().map(facts).collect()
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "dir",
        Kind::Symlink => "symlink",
        Kind::HardLink => "hardlink",
        Kind::Character => "char",
        Kind::Block => "block",
        Kind::Fifo => "fifo",
        Kind::Other => "other",
    }
}

fn bare_digest(digest: &str) -> String {
    digest.trim_start_matches("sha256:").to_owned()
}

fn encoded(xattrs: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    xattrs
        .iter()
        .map(|(name, value)| (name.clone(), BASE64_STANDARD.encode(value)))
        .collect()
}
