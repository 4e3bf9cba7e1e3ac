//! The digest of files as a step takes them: names, kinds, modes, owners, link targets, attributes and bytes, but no times (T-CACHE-02, T-CACHE-12).

use std::collections::BTreeMap;
use std::sync::Arc;

use kigumi_context::{Archives, Owner, SelectedName, copy_changes, selected_names};
use kigumi_layer::{
    Change, ContentIdentity, Device, Entry, FileContent, ImagePath, Metadata, Origin, Tree, diff,
};
use kigumi_oci::{Digest, Digester};
use kigumi_plan::cache_key::Framed;
use kigumi_plan::{CopyOp, CopySource, RunMount, Source};

use super::super::contents::Contents;
use super::super::copying;
use super::super::stage::Stages;
use crate::error::BuildError;

/// Digests of files on disk that were read for a key, by store and path: each is read once, and what is copied later has to be the same.
#[derive(Debug, Default)]
pub(in crate::build) struct Hashed(BTreeMap<(u32, Arc<[u8]>), Digest>);

impl Hashed {
    /// The digest of a file; its bytes are read where nobody knows it.
    fn digest(
        &mut self,
        path: &ImagePath,
        content: &FileContent,
        contents: &Contents,
    ) -> Result<Digest, BuildError> {
        if let ContentIdentity::Sha256(digest) = content.identity {
            return Ok(digest);
        }
        let place = place(content);
        if let Some(known) = place.as_ref().and_then(|place| self.0.get(place)) {
            return Ok(*known);
        }
        let mut reader = contents.open(path, content)?;
        let read = Digester::new().drain(&mut reader);
        let (digest, _) = read.map_err(|source| BuildError::Content {
            path: path.to_string(),
            source,
        })?;
        if let Some(place) = place {
            self.0.insert(place, digest);
        }
        Ok(digest)
    }

    /// Whether a file that was copied is not the one that was read for the key: then the layer is not what the key says.
    pub(in crate::build) fn contradicts(&self, content: &FileContent, copied: Digest) -> bool {
        let known = place(content).and_then(|place| self.0.get(&place));
        known.is_some_and(|known| *known != copied)
    }
}

fn place(content: &FileContent) -> Option<(u32, Arc<[u8]>)> {
    match &content.origin {
        Origin::Stored { store, path } => Some((*store, Arc::clone(path))),
        Origin::Live | Origin::Inline(_) | Origin::Blob { .. } => None,
    }
}

impl Stages<'_> {
    /// What the paths of a COPY or ADD lead to. It does not depend on where that goes.
    pub(super) fn paths_digest(&mut self, copy: &CopyOp) -> Result<Digest, BuildError> {
        let tree = self.source_tree(&copy.from)?;
        let paths = copy.sources.iter();
        let paths = paths.filter(|source| matches!(source, Source::Path(_)));
        let items = paths.map(|source| copying::item(source, copy.unpack));
        let items = items.collect::<Result<_, _>>()?;
        // Whose files they were counts only where they keep their owner.
        let keeps_owner = copy.chown.is_none() && copy.from != CopySource::Context;
        let owner = if keeps_owner {
            Owner::Kept
        } else {
            Owner::ROOT
        };
        let mut spec = copying::spec(copy, items, owner, self.now)?;
        spec.destination = copying::anywhere();
        let failed = |error| BuildError::CopyEngine(Box::new(error));
        let failed = |error| self.why_missing(copy, failed(error));
        let names = selected_names(&spec, &[&tree]).map_err(failed)?;
        let changes = copy_changes(&Tree::new(), &spec, &[&tree], &Archives::none());
        let mut changes = changes.map_err(failed)?;
        self.extract(&mut changes)?;
        let framed = Framed::new("paths").list(names, |framed, selected| {
            let SelectedName { name, is_directory } = selected;
            framed.bytes(&name).flag(is_directory)
        });
        self.changes_digest(framed, &changes)
    }

    /// What a mount shows.
    pub(super) fn mount_digest(&mut self, mount: &RunMount) -> Result<Digest, BuildError> {
        let files = self.files_of(mount)?;
        let framed = Framed::new("mount").flag(files.is_directory());
        self.changes_digest(framed, files.changes())
    }

    /// All of a tree.
    pub(super) fn tree_digest(&mut self, tree: &Tree) -> Result<Digest, BuildError> {
        let mut changes = diff(&Tree::new(), tree);
        self.extract(&mut changes)?;
        self.changes_digest(Framed::new("tree"), &changes)
    }

    fn changes_digest(&mut self, framed: Framed, changes: &[Change]) -> Result<Digest, BuildError> {
        let mut framed = framed.number(changes.len() as u64);
        for change in changes {
            self.workshop.check_cancelled()?;
            framed = match change.file() {
                Some(content) => {
                    let contents = &self.contents;
                    let digest = self.hashed.digest(change.path(), content, contents)?;
                    framed.digest(&digest)
                }
                None => framed,
            };
            framed = with_change(framed, change);
        }
        Ok(framed.finish().digest())
    }
}

fn with_change(framed: Framed, change: &Change) -> Framed {
    let framed = framed.bytes(change.path().as_relative());
    match change {
        Change::Put {
            entry, metadata, ..
        } => with_metadata(with_entry(framed, entry), metadata),
        Change::Link { target, .. } => framed.tag("link").bytes(target.as_relative()),
        Change::Delete { .. } => framed.tag("delete"),
        Change::ClearDir { .. } => framed.tag("clear"),
    }
}

fn with_entry(framed: Framed, entry: &Entry) -> Framed {
    let device = |framed: Framed, device: &Device| {
        let Device { major, minor } = device;
        framed.number(u64::from(*major)).number(u64::from(*minor))
    };
    match entry {
        Entry::Directory => framed.tag("directory"),
        // Its digest stands in front.
        Entry::File(_) => framed.tag("file"),
        Entry::Symlink(target) => framed.tag("symlink").bytes(target),
        Entry::CharDevice(numbers) => device(framed.tag("character device"), numbers),
        Entry::BlockDevice(numbers) => device(framed.tag("block device"), numbers),
        Entry::Fifo => framed.tag("fifo"),
    }
}

fn with_metadata(framed: Framed, metadata: &Metadata) -> Framed {
    let Metadata {
        mode,
        uid,
        gid,
        // T-CACHE-12
        mtime: _,
        xattrs,
    } = metadata;
    let attributes: Vec<_> = xattrs.iter().collect();
    framed
        .number(u64::from(mode.bits()))
        .number(u64::from(*uid))
        .number(u64::from(*gid))
        .list(attributes, |framed, (name, value)| {
            framed.bytes(name).bytes(value)
        })
}

#[cfg(test)]
mod tests {
    use kigumi_layer::{Mode, Timestamp};

    use super::*;

    fn directory(path: &str) -> Change {
        Change::Put {
            path: ImagePath::parse(path.as_bytes()).unwrap(),
            entry: Entry::Directory,
            metadata: Metadata::root_owned(Mode::new(0o755), Timestamp::from_seconds(1)),
        }
    }

    fn symlink(path: &str, target: &str) -> Change {
        let mut change = directory(path);
        if let Change::Put { entry, .. } = &mut change {
            *entry = Entry::Symlink(target.as_bytes().into());
        }
        change
    }

    fn with(change: impl FnOnce(&mut Metadata)) -> Change {
        let mut changed = directory("a");
        if let Change::Put { metadata, .. } = &mut changed {
            change(metadata);
        }
        changed
    }

    fn digest(changes: &[Change]) -> Digest {
        let framed = changes.iter().fold(Framed::new("tree"), with_change);
        framed.finish().digest()
    }

    #[test]
    fn names_and_targets_do_not_run_into_each_other_t_cache_02() {
        assert_ne!(
            digest(&[directory("ab"), directory("c")]),
            digest(&[directory("a"), directory("bc")])
        );
        assert_ne!(digest(&[symlink("ab", "c")]), digest(&[symlink("a", "bc")]));
        assert_ne!(digest(&[directory("a")]), digest(&[symlink("a", "")]));
    }

    #[test]
    fn everything_but_the_time_of_a_file_is_in_the_digest_t_cache_12() {
        let plain = digest(&[directory("a")]);
        let later = with(|metadata| metadata.mtime = Timestamp::from_seconds(2));
        assert_eq!(digest(&[later]), plain);
        for other in [
            with(|metadata| metadata.mode = Mode::new(0o700)),
            with(|metadata| metadata.uid = 1),
            with(|metadata| metadata.gid = 1),
        ] {
            assert_ne!(digest(std::slice::from_ref(&other)), plain, "{other:?}");
        }
    }
}
