//! From objects to files. Nothing of the repository is obeyed on the way: no hook, no filter program, no configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use gix_hash::ObjectId;
use gix_object::tree::EntryKind;
use kigumi_layer::{Change, Entry as Put, FileContent, ImagePath, Metadata, Mode, Timestamp, Tree};

use super::GitError;
use super::attributes::Attributes;
use super::conversion::Conversion;
use super::limits::{ENTRIES, LARGEST_ATTRIBUTES, LARGEST_LINK};
use super::objects::{Entry, Objects};
use crate::Spool;

/// The files of a checkout, while they are collected.
pub(super) struct Collector<'s, W> {
    pub(super) tree: Tree,
    entries: usize,
    /// What is in git's own index: path, mode, id and size.
    pub(super) index: Vec<Tracked>,
    spool: &'s mut Spool<W>,
    /// Contents that are in the spool: files with the same content share it, so that no repository can claim more than it sent.
    contents: BTreeMap<(ObjectId, Conversion), FileContent>,
    interrupted: &'s AtomicBool,
}

/// A file as git's index has it.
pub(super) struct Tracked {
    pub(super) path: ImagePath,
    pub(super) mode: u32,
    pub(super) id: ObjectId,
    pub(super) size: u64,
}

/// One tree of one repository, and where it goes.
pub(super) struct Source<'o> {
    pub(super) objects: &'o Objects,
    pub(super) tree: ObjectId,
    pub(super) at: ImagePath,
    pub(super) time: Timestamp,
    /// Whether it is the repository that was asked for.
    pub(super) is_main: bool,
}

impl<'s, W: Write> Collector<'s, W> {
    pub(super) fn new(spool: &'s mut Spool<W>, interrupted: &'s AtomicBool) -> Self {
        Self {
            tree: Tree::new(),
            entries: 0,
            index: Vec::new(),
            spool,
            contents: BTreeMap::new(),
            interrupted,
        }
    }

    /// Adds the files of a tree that lie at, above or below `wanted`. What comes back are commits of other repositories that belong into it.
    pub(super) fn add(
        &mut self,
        source: &Source<'_>,
        wanted: &ImagePath,
    ) -> Result<Vec<(ImagePath, ObjectId)>, GitError> {
        let mut submodules = Vec::new();
        let mut attributes = Attributes::new();
        let mut todo = vec![(source.at.clone(), source.tree)];
        while let Some((directory, id)) = todo.pop() {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(GitError::Interrupted);
            }
            let mut names = BTreeSet::new();
            let entries = source.objects.tree(id)?;
            enter(source, &directory, &entries, &mut attributes)?;
            for entry in entries {
                let path = checked(source.objects, &directory, &entry, &mut names)?;
                if !(path.starts_with(wanted) || wanted.starts_with(&path)) {
                    continue;
                }
                match entry.kind {
                    EntryKind::Tree => todo.push((path.clone(), entry.id)),
                    EntryKind::Commit => submodules.push((path.clone(), entry.id)),
                    EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => {}
                }
                self.entry(source, path, &entry, &mut attributes)?;
            }
        }
        Ok(submodules)
    }

    fn entry(
        &mut self,
        source: &Source<'_>,
        path: ImagePath,
        entry: &Entry,
        attributes: &mut Attributes,
    ) -> Result<(), GitError> {
        let mut content = |kept: &mut Self| {
            let relative = path.strip_prefix(&source.at).unwrap_or_default();
            kept.content(source, entry.id, attributes.conversion(&relative)?)
        };
        let (put, mode) = match entry.kind {
            EntryKind::Tree | EntryKind::Commit => (Put::Directory, Mode::DIRECTORY),
            EntryKind::Blob => (Put::File(content(self)?), Mode::FILE),
            EntryKind::BlobExecutable => (Put::File(content(self)?), Mode::new(0o755)),
            EntryKind::Link => (
                Put::Symlink(link_target(source.objects, &path, entry.id)?),
                Mode::SYMLINK,
            ),
        };
        if source.is_main && entry.kind != EntryKind::Tree {
            self.track(&path, entry, &put);
        }
        self.put(
            source.objects.remote(),
            path,
            put,
            Metadata::root_owned(mode, source.time),
        )
    }

    fn track(&mut self, path: &ImagePath, entry: &Entry, put: &Put) {
        let size = match put {
            Put::File(content) => content.size,
            Put::Symlink(target) => target.len() as u64,
            Put::Directory | Put::CharDevice(_) | Put::BlockDevice(_) | Put::Fifo => 0,
        };
        self.index.push(Tracked {
            path: path.clone(),
            mode: u32::from(gix_object::tree::EntryMode::from(entry.kind).value()),
            id: entry.id,
            size,
        });
    }

    /// Adds one entry. Its directory has to be there.
    pub(super) fn put(
        &mut self,
        remote: &str,
        path: ImagePath,
        entry: Put,
        metadata: Metadata,
    ) -> Result<(), GitError> {
        let remote = remote.to_owned();
        if self.entries >= ENTRIES {
            return Err(GitError::TooManyEntries { remote });
        }
        self.entries += 1;
        let change = Change::Put {
            path,
            entry,
            metadata,
        };
        let applied = self.tree.apply(change);
        applied
            .map(drop)
            .map_err(|source| GitError::Tree { remote, source })
    }

    fn content(
        &mut self,
        source: &Source<'_>,
        id: ObjectId,
        conversion: Conversion,
    ) -> Result<FileContent, GitError> {
        let key = (id, conversion);
        if let Some(known) = self.contents.get(&key) {
            return Ok(known.clone());
        }
        let bytes = key.1.apply(id, source.objects.blob(id)?);
        let content = self.store(bytes.as_slice())?;
        self.contents.insert(key, content.clone());
        Ok(content)
    }

    /// Takes over bytes that are no object.
    pub(super) fn store(&mut self, bytes: impl std::io::Read) -> Result<FileContent, GitError> {
        self.spool.append(bytes).map_err(|source| GitError::Work {
            operation: "keep the content of a file",
            source,
        })
    }
}

/// Takes over the `.gitattributes` of a directory.
fn enter(
    source: &Source<'_>,
    directory: &ImagePath,
    entries: &[Entry],
    attributes: &mut Attributes,
) -> Result<(), GitError> {
    let file = entries.iter().find(|entry| {
        let is_file = matches!(entry.kind, EntryKind::Blob | EntryKind::BlobExecutable);
        is_file && entry.name == b".gitattributes"
    });
    if let Some(file) = file {
        let text = source.objects.blob(file.id)?;
        let directory = directory.strip_prefix(&source.at).unwrap_or_default();
        if text.len() <= LARGEST_ATTRIBUTES {
            attributes.enter(&directory, &text);
        }
    }
    Ok(())
}

/// The path of an entry, if there may be one of that name.
fn checked(
    objects: &Objects,
    directory: &ImagePath,
    entry: &Entry,
    names: &mut BTreeSet<Vec<u8>>,
) -> Result<ImagePath, GitError> {
    let name = entry.name.as_slice();
    let mut shown = directory.as_relative().to_vec();
    if !directory.is_root() {
        shown.push(b'/');
    }
    shown.extend_from_slice(name);
    let refused = || GitError::Path {
        remote: objects.remote().to_owned(),
        path: shown.escape_ascii().to_string(),
    };
    let forbidden = name.is_empty()
        || name.contains(&b'/')
        || matches!(name, b"." | b"..")
        // As git itself: whatever lies there would be the repository of whoever works in the image, hooks and all.
        || name.eq_ignore_ascii_case(b".git")
        || !names.insert(name.to_vec());
    if forbidden {
        return Err(refused());
    }
    ImagePath::parse(&shown).map_err(|_| refused())
}

fn link_target(objects: &Objects, path: &ImagePath, id: ObjectId) -> Result<Box<[u8]>, GitError> {
    let target = objects.blob(id)?;
    if target.is_empty() || target.len() > LARGEST_LINK || target.contains(&0) {
        return Err(GitError::Link {
            remote: objects.remote().to_owned(),
            path: path.clone(),
        });
    }
    Ok(target.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_has_as_many_files_as_the_limit_and_no_more() {
        let interrupted = AtomicBool::new(false);
        let mut spool = Spool::new(Vec::new(), 0);
        let mut collector = Collector::new(&mut spool, &interrupted);
        collector.entries = ENTRIES - 1;
        let mut put = |name: &[u8]| {
            let path = ImagePath::parse(name).unwrap();
            collector.put("r.git", path, Put::Directory, Metadata::default())
        };
        put(b"last").unwrap();
        let error = put(b"too-many").unwrap_err().to_string();
        assert!(error.contains(&ENTRIES.to_string()), "{error}");
    }
}
