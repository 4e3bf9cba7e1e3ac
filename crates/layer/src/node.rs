use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kigumi_oci::Digest;

use crate::entries::Entries;

/// Permission bits with set-id and sticky bits, twelve in all. Prints octal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mode(u16);

impl Mode {
    /// 0755.
    pub const DIRECTORY: Self = Self(0o755);
    /// 0644.
    pub const FILE: Self = Self(0o644);
    /// 0777, which every link has.
    pub const SYMLINK: Self = Self(0o777);

    /// The lower twelve bits of `bits`; the file type is not part of a mode here.
    pub const fn new(bits: u32) -> Self {
        Self((bits & 0o7777) as u16)
    }

    /// The twelve bits.
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0o{:04o}", self.0)
    }
}

/// A point in time: seconds since 1970 and nanoseconds within the second.
///
/// Packed: there are two or three for every file of an image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[repr(C, packed(4))]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// 0 to 999 999 999.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// A whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self {
            seconds,
            nanoseconds: 0,
        }
    }
}

impl fmt::Display for Timestamp {
    /// Seconds and, unless there are none, nanoseconds as a fraction that counts forward also before 1970.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds;
        write!(f, "{seconds}")?;
        if self.nanoseconds == 0 {
            return Ok(());
        }
        let fraction = format!("{:09}", self.nanoseconds);
        write!(f, ".{}", fraction.trim_end_matches('0'))
    }
}

/// Extended attributes by full name (`security.capability`); most files have none, so they cost one pointer.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Xattrs(Option<Box<AttributeMap>>);

type AttributeMap = BTreeMap<Box<[u8]>, Box<[u8]>>;

impl Xattrs {
    /// Sets one attribute.
    pub fn insert(&mut self, name: &[u8], value: &[u8]) {
        self.0
            .get_or_insert_default()
            .insert(name.into(), value.into());
    }

    /// Drops one attribute.
    pub fn remove(&mut self, name: &[u8]) {
        if let Some(map) = &mut self.0 {
            map.remove(name);
            if map.is_empty() {
                self.0 = None;
            }
        }
    }

    /// The attributes in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .flat_map(|map| map.iter())
            .map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// What every kind of node has.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Metadata {
    /// Permissions.
    pub mode: Mode,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of content. Of directories it is written but not compared.
    pub mtime: Timestamp,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Metadata {
    /// Metadata of root:root without attributes.
    pub fn root_owned(mode: Mode, mtime: Timestamp) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: Xattrs::default(),
        }
    }
}

/// Numbers of a device node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// What tells two contents apart without reading them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ContentIdentity {
    /// The sha256 of the content.
    Sha256(Digest),
    /// Content nobody has hashed yet; equal only to itself.
    Unique(u64),
}

/// Where the bytes of a file are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// At the file's own path on the live root filesystem.
    Live,
    /// Here.
    Inline(Arc<[u8]>),
    /// In the uncompressed tar of a layer.
    Blob {
        /// Which layer, as numbered by whoever holds them.
        blob: u32,
        /// Where the content starts, in bytes.
        offset: u64,
    },
    /// In a directory outside the image: the build context, or what was kept of an earlier stage.
    Stored {
        /// Which directory, as numbered by whoever holds them.
        store: u32,
        /// The path below it, without a leading slash.
        path: Arc<[u8]>,
    },
}

/// The content of a regular file, as far as it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileContent {
    /// Length in bytes.
    pub size: u64,
    /// What tells it from other content.
    pub identity: ContentIdentity,
    /// Where its bytes are. Not part of what makes two files equal.
    pub origin: Origin,
}

impl FileContent {
    /// Content held in memory.
    pub fn inline(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            identity: ContentIdentity::Sha256(Digest::of(bytes)),
            origin: Origin::Inline(bytes.into()),
        }
    }

    /// Whether both hold the same bytes, as far as that is known.
    pub fn same_content(&self, other: &Self) -> bool {
        self.size == other.size && self.identity == other.identity
    }
}

/// What a node is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A directory and its entries by name.
    Directory(Entries),
    /// A regular file.
    File(FileContent),
    /// A symbolic link and the text of its target.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

/// An inode of a [`Tree`](crate::Tree). Several paths may lead to one (hard links).
///
/// There is one for every file of an image: what few of them have, the tree keeps elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Owner, permissions, time, attributes.
    pub metadata: Metadata,
}

impl Node {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// The entries of a directory by name.
    pub(crate) fn entries(&self) -> Option<&Entries> {
        match &self.kind {
            Kind::Directory(entries) => Some(entries),
            Kind::File(_)
            | Kind::Symlink(_)
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_)
            | Kind::Fifo => None,
        }
    }

    /// The content of a regular file.
    pub fn file(&self) -> Option<&FileContent> {
        match &self.kind {
            Kind::File(content) => Some(content),
            Kind::Directory(_)
            | Kind::Symlink(_)
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_)
            | Kind::Fifo => None,
        }
    }

    /// As [`Node::file`], to say what was learned of it.
    pub fn file_mut(&mut self) -> Option<&mut FileContent> {
        match &mut self.kind {
            Kind::File(content) => Some(content),
            Kind::Directory(_)
            | Kind::Symlink(_)
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_)
            | Kind::Fifo => None,
        }
    }

    /// Whether a layer need not say anything about `self` where `before` was.
    ///
    /// Directories are compared without their time: an mtime-only change is not recorded (T-SNAP-25).
    pub(crate) fn unchanged_since(&self, before: &Self) -> bool {
        let same_kind = match (&before.kind, &self.kind) {
            (Kind::Directory(_), Kind::Directory(_)) => {
                return before.metadata.mode == self.metadata.mode
                    && before.metadata.uid == self.metadata.uid
                    && before.metadata.gid == self.metadata.gid
                    && before.metadata.xattrs == self.metadata.xattrs;
            }
            (Kind::File(before), Kind::File(after)) => before.same_content(after),
            (before, after) => before == after,
        };
        same_kind && before.metadata == self.metadata
    }
}
