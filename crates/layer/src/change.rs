use std::fmt;

use crate::{Device, Entries, FileContent, ImagePath, Kind, Metadata};

/// One entry of a changeset. image-spec v1.1 layer.md § Change Types.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Adds or replaces what is at `path`; a directory over a directory changes its metadata only.
    Put {
        /// Where.
        path: ImagePath,
        /// What.
        entry: Entry,
        /// Owner, permissions, time, attributes.
        metadata: Metadata,
    },
    /// Gives an existing node one more name.
    Link {
        /// The new name.
        path: ImagePath,
        /// The existing name.
        target: ImagePath,
    },
    /// Whiteout: removes what lower layers have at `path`.
    Delete {
        /// Where.
        path: ImagePath,
    },
    /// Opaque whiteout: removes what lower layers have in the directory `path`, but not what this layer puts there.
    ClearDir {
        /// Which directory.
        path: ImagePath,
    },
}

impl Change {
    /// The content of the regular file that the change puts.
    pub fn file(&self) -> Option<&FileContent> {
        match self {
            Self::Put {
                entry: Entry::File(content),
                ..
            } => Some(content),
            Self::Put { .. } | Self::Link { .. } | Self::Delete { .. } | Self::ClearDir { .. } => {
                None
            }
        }
    }

    /// As [`Change::file`], to say where its bytes are.
    pub fn file_mut(&mut self) -> Option<&mut FileContent> {
        match self {
            Self::Put {
                entry: Entry::File(content),
                ..
            } => Some(content),
            Self::Put { .. } | Self::Link { .. } | Self::Delete { .. } | Self::ClearDir { .. } => {
                None
            }
        }
    }

    /// The path the change is about.
    pub fn path(&self) -> &ImagePath {
        match self {
            Self::Put { path, .. }
            | Self::Link { path, .. }
            | Self::Delete { path }
            | Self::ClearDir { path } => path,
        }
    }
}

/// What a [`Change::Put`] puts: a node's kind without the entries of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A directory.
    Directory,
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

impl Entry {
    /// The entry that would put a node of this kind.
    pub fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Directory(_) => Self::Directory,
            Kind::File(content) => Self::File(content.clone()),
            Kind::Symlink(target) => Self::Symlink(target.clone()),
            Kind::CharDevice(device) => Self::CharDevice(*device),
            Kind::BlockDevice(device) => Self::BlockDevice(*device),
            Kind::Fifo => Self::Fifo,
        }
    }

    pub(crate) fn into_kind(self) -> Kind {
        match self {
            Self::Directory => Kind::Directory(Entries::new()),
            Self::File(content) => Kind::File(content),
            Self::Symlink(target) => Kind::Symlink(target),
            Self::CharDevice(device) => Kind::CharDevice(device),
            Self::BlockDevice(device) => Kind::BlockDevice(device),
            Self::Fifo => Kind::Fifo,
        }
    }

    /// A word for messages.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File(_) => "file",
            Self::Symlink(_) => "symbolic link",
            Self::CharDevice(_) => "character device",
            Self::BlockDevice(_) => "block device",
            Self::Fifo => "fifo",
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}
