use std::collections::BTreeMap;
use std::sync::Arc;

use kigumi_layer::{Change, FileContent, ImagePath, Mode, PathError, Timestamp};

use crate::Chmod;

/// What one COPY or ADD says, with all words expanded and all names resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopySpec {
    /// What to copy, in order; heredocs come after the paths.
    pub items: Vec<CopyItem>,
    /// Where to.
    pub destination: Destination,
    /// Whose the result is.
    pub owner: Owner,
    /// `--chmod`
    pub chmod: Option<Chmod>,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`, as written.
    pub exclude: Vec<String>,
    /// `--link`
    pub link: bool,
    /// The time of directories that the instruction implies, and of inline files.
    pub now: Timestamp,
}

/// One source of a COPY or ADD.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopyItem {
    /// A path or wildcard pattern in a tree.
    Path {
        /// Which of the source trees.
        source: usize,
        /// As written.
        pattern: String,
        /// Whether an archive is unpacked (ADD without `--unpack=false`).
        unpack: bool,
    },
    /// A heredoc: a file 0644 with the time [`CopySpec::now`].
    Inline {
        /// The delimiter; the file's name in a destination directory.
        name: Vec<u8>,
        /// The body.
        content: Arc<[u8]>,
    },
    /// One file that comes from elsewhere (a URL).
    File {
        /// Its name in a destination directory.
        name: Vec<u8>,
        /// Its bytes.
        content: FileContent,
        /// Permissions, before `--chmod`.
        mode: Mode,
        /// Last change.
        mtime: Timestamp,
        /// Whether an archive is unpacked (ADD with `--unpack=true`).
        unpack: bool,
    },
}

/// The last word of a COPY or ADD.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// Absolute and clean, links not yet followed.
    pub path: ImagePath,
    /// Whether it is a directory even if it does not exist: a `/` or `/.` at the end, `.`, or nothing at all.
    pub is_directory: bool,
    /// As written, for messages.
    pub written: String,
}

impl Destination {
    /// The destination `written` for a stage whose working directory is `working_directory`.
    ///
    /// # Errors
    /// [`PathError`] for NUL and over-long names.
    pub fn new(working_directory: &[u8], written: &str) -> Result<Self, PathError> {
        let path = if written.starts_with('/') {
            ImagePath::clamp(written.as_bytes())?
        } else {
            ImagePath::clamp(&[working_directory, b"/", written.as_bytes()].concat())?
        };
        let is_directory =
            matches!(written, "" | ".") || written.ends_with('/') || written.ends_with("/.");
        Ok(Self {
            path,
            is_directory,
            written: written.to_owned(),
        })
    }
}

/// Who owns what is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// `--chown`: everything belongs to this user and group, implied directories and entries of archives too.
    Given {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// No `--chown` on files from outside of images: 0:0 as BuildKit, or the current user as kaniko. Entries of archives keep their owners.
    Assumed {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// `COPY --from` without `--chown`: everything keeps its owner, and implied directories are 0:0 (T-COPY-02).
    Kept,
}

impl Owner {
    /// 0:0 for what comes from outside (T-COPY-01).
    pub const ROOT: Self = Self::Assumed { uid: 0, gid: 0 };
}

/// A file that an ADD names: the number of its item and the path it is at, links followed. The root for [`CopyItem::File`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ArchiveKey {
    /// Index into [`CopySpec::items`].
    pub item: usize,
    /// Path in the item's source tree.
    pub path: ImagePath,
}

/// The entries of one archive in their order. Only [`Change::Put`] and [`Change::Link`] have a meaning; paths and link targets are below the
/// archive's own root.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Archive {
    /// The entries.
    pub entries: Vec<Change>,
}

/// What the archives among the sources of an ADD contain. A candidate that is not listed is copied as the file it is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Archives(BTreeMap<ArchiveKey, Archive>);

impl Archives {
    /// None, as for every COPY.
    pub fn none() -> Self {
        Self::default()
    }

    /// Says what is in a candidate.
    pub fn insert(&mut self, key: ArchiveKey, archive: Archive) {
        self.0.insert(key, archive);
    }

    pub(super) fn get(&self, key: &ArchiveKey) -> Option<&Archive> {
        self.0.get(key)
    }
}
