//! Images as they lie in a registry or a layout: read, built in code, judged, flattened, compared.

mod builder;
mod check;
mod compare;
mod flatten;
mod read;

use std::collections::BTreeMap;

use serde_json::Value;

pub use builder::{Family, ImageBuilder, Index, LayerBuilder, Packing, Pushed};
pub use compare::{Allowed, compare};
pub use flatten::{Node, Tree};
pub use read::digest_of;

/// An image read wholly: its documents and the entries of its layers.
///
/// Digests and sizes are recorded as found; [`Image::problems`] judges them.
#[derive(Debug, Clone)]
pub struct Image {
    /// The name it was read by, for messages.
    pub name: String,
    /// The manifest as stored.
    pub manifest: Document,
    /// The config as stored.
    pub config: Document,
    /// Base layer first.
    pub layers: Vec<Layer>,
}

/// A JSON document with the bytes it was read from.
#[derive(Debug, Clone)]
pub struct Document {
    /// What refers to it says this; for a manifest read by tag, what was found.
    pub expected: Descriptor,
    /// The bytes, exactly.
    pub bytes: Vec<u8>,
    /// The same, parsed.
    pub value: Value,
}

/// Media type, digest and size.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Descriptor {
    /// Media type.
    pub media_type: String,
    /// `sha256:<hex>`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// A layer as found.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What the manifest says.
    pub descriptor: Descriptor,
    /// Digest of the stored bytes.
    pub digest: String,
    /// Number of the stored bytes.
    pub size: u64,
    /// Digest of the uncompressed bytes.
    pub diff_id: String,
    /// `gzip`, `zstd` or `none`, by the first bytes.
    pub compression: &'static str,
    /// In the order of the archive.
    pub entries: Vec<Entry>,
    /// Non-zero bytes were found after the end of the archive.
    pub trailing_garbage: bool,
}

/// An entry of a layer's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as written, bytes that are not UTF-8 escaped as `\xNN`.
    pub name: String,
    /// What it is.
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
    /// Of a regular file's content.
    pub sha256: Option<String>,
    /// Target of a symlink or hard link, as written.
    pub link: Option<String>,
    /// Extended attributes, without the `SCHILY.xattr.` of the archive.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Major and minor number.
    pub device: Option<(u32, u32)>,
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Second name of an earlier entry.
    HardLink,
    /// Character device.
    Character,
    /// Block device.
    Block,
    /// Named pipe.
    Fifo,
    /// Anything else; legal nowhere.
    Other,
}

impl Kind {
    /// The letter of the tree notation.
    pub fn letter(self) -> char {
        match self {
            Self::File => 'f',
            Self::Directory => 'd',
            Self::Symlink => 'l',
            Self::HardLink => 'h',
            Self::Character => 'c',
            Self::Block => 'b',
            Self::Fifo => 'p',
            Self::Other => '?',
        }
    }
}

impl Image {
    /// A field of the config's `config` object, by its OCI name.
    pub fn setting(&self, name: &str) -> &Value {
        self.config
            .value
            .get("config")
            .and_then(|config| config.get(name))
            .unwrap_or(&Value::Null)
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> &str {
        &self.manifest.expected.digest
    }

    /// All entries of all layers that lie at or below a path: what must be absent of our own files.
    pub fn entries_below(&self, path: &str) -> Vec<String> {
        let wanted = path.trim_matches('/');
        self.layers
            .iter()
            .flat_map(|layer| &layer.entries)
            .filter_map(|entry| normalise(&entry.name))
            .filter(|name| {
                name.strip_prefix(wanted)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .collect()
    }
}

/// The name without leading `./`, doubled slashes and trailing slash; the root is the empty name.
/// Nothing for names that leave the root or are absolute.
pub(crate) fn normalise(name: &str) -> Option<String> {
    if name.starts_with('/') {
        return None;
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}
