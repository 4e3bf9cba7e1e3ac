//! The objects of a pack.

use std::path::Path;

use gix_hash::{Kind as Hash, ObjectId};
use gix_object::tree::EntryKind;
use gix_object::{CommitRef, Kind, TagRef, TreeRef};
use gix_pack::{Bundle, cache};

use super::error::Cause;
use super::limits::TAG_DEPTH;
use super::{GitError, Remote};

/// Reads objects by their id. Every one was hashed when the pack came.
pub(super) struct Objects {
    remote: String,
    bundle: Bundle,
}

/// A commit, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Commit {
    pub(super) id: ObjectId,
    pub(super) tree: ObjectId,
    /// When it was committed, in seconds since 1970.
    pub(super) seconds: i64,
}

/// One entry of a tree.
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) kind: EntryKind,
    pub(super) id: ObjectId,
}

impl Objects {
    pub(super) fn new(remote: &Remote, bundle: Bundle) -> Self {
        Self {
            remote: remote.to_string(),
            bundle,
        }
    }

    /// Where they came from, for messages.
    pub(super) fn remote(&self) -> &str {
        &self.remote
    }

    /// The pack's file.
    pub(super) fn pack(&self) -> &Path {
        self.bundle.pack.path()
    }

    /// The file of its index.
    pub(super) fn index(&self) -> &Path {
        self.bundle.index.path()
    }

    pub(super) fn has(&self, id: ObjectId) -> bool {
        self.bundle.index.lookup(id).is_some()
    }

    /// The commit that an id means, tags followed.
    pub(super) fn commit(&self, id: ObjectId) -> Result<Commit, GitError> {
        let mut at = id;
        for _ in 0..TAG_DEPTH {
            let (kind, bytes) = self.read(at)?;
            let broken = |source: gix_error::Error| self.broken(at, source);
            match kind {
                Kind::Commit => {
                    let commit = CommitRef::from_bytes(&bytes, Hash::Sha1).map_err(broken)?;
                    return Ok(Commit {
                        id: at,
                        tree: commit.tree(),
                        seconds: commit.committer().map_err(broken)?.seconds(),
                    });
                }
                Kind::Tag => {
                    at = TagRef::from_bytes(&bytes, Hash::Sha1)
                        .map_err(broken)?
                        .target();
                }
                Kind::Tree | Kind::Blob => break,
            }
        }
        Err(GitError::NotACommit {
            remote: self.remote.clone(),
            id: id.to_string(),
        })
    }

    /// The entries of a tree, in their order.
    pub(super) fn tree(&self, id: ObjectId) -> Result<Vec<Entry>, GitError> {
        let bytes = self.read_as(id, Kind::Tree)?;
        let tree =
            TreeRef::from_bytes(&bytes, Hash::Sha1).map_err(|source| self.broken(id, source))?;
        let entry = |entry: &gix_object::tree::EntryRef<'_>| Entry {
            name: entry.filename.to_vec(),
            kind: entry.mode.kind(),
            id: entry.oid.to_owned(),
        };
        Ok(tree.entries.iter().map(entry).collect())
    }

    /// The bytes of a file or the target of a link.
    pub(super) fn blob(&self, id: ObjectId) -> Result<Vec<u8>, GitError> {
        self.read_as(id, Kind::Blob)
    }

    fn read_as(&self, id: ObjectId, expected: Kind) -> Result<Vec<u8>, GitError> {
        let (kind, bytes) = self.read(id)?;
        if kind == expected {
            return Ok(bytes);
        }
        let text = format!("it is a {kind} where a {expected} should be");
        Err(self.broken(id, text))
    }

    fn read(&self, id: ObjectId) -> Result<(Kind, Vec<u8>), GitError> {
        let mut bytes = Vec::new();
        let mut inflate = gix_zlib::Inflate::default();
        let found = self
            .bundle
            .find(&id, &mut bytes, &mut inflate, &mut cache::Never)
            .map_err(|source| self.broken(id, source))?;
        let (data, _) = found.ok_or_else(|| self.broken(id, "the server did not send it"))?;
        let kind = data.kind;
        Ok((kind, bytes))
    }

    fn broken(&self, id: ObjectId, source: impl Into<Cause>) -> GitError {
        GitError::Object {
            remote: self.remote.clone(),
            id: id.to_string(),
            source: source.into(),
        }
    }
}
