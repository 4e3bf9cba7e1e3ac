//! An archive that is a build context: a tree whose contents lie in a spool. Nothing is unpacked onto a disk, so nothing in it can lead anywhere.

use std::io::{Read, Write};

use kigumi_layer::{Change, Dialect, Entry, ImagePath, LayerReader, Tree};

use super::bounded::Bounded;
use super::{Spool, compression, not_an_archive, take_over};
use crate::Error;

/// What an archive may make us hold. Whoever has larger contexts builds from a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContextLimits {
    /// Bytes of the decompressed archive.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// Bytes of names, link targets and extended attributes: these are held in memory.
    pub names: u64,
}

impl Default for ContextLimits {
    /// Defaults by decision (hostile-inputs.md § 1.2): the largest source trees have some hundred thousand files.
    fn default() -> Self {
        Self {
            bytes: 64 << 30,
            entries: 1_000_000,
            names: 256 << 20,
        }
    }
}

/// The files of a build context that is an archive, of any compression that ADD knows; contents go into `spool`. Read to its end.
///
/// Refused are names that are absolute or lead up, entries below a symbolic link, devices, and more than `limits` allow; targets of symbolic
/// links are data, as in a directory.
///
/// # Errors
/// [`Error::NoArchive`], [`Error::Entry`], [`Error::TooLarge`], and as [`read_archive`](super::read_archive).
pub fn read_context<W: Write>(
    file: impl Read,
    written: &str,
    spool: &mut Spool<W>,
    limits: &ContextLimits,
) -> Result<Tree, Error> {
    let plain = compression::decompressed(file).map_err(|source| Error::ReadHead {
        written: written.to_owned(),
        source,
    })?;
    let (plain, exceeded) = Bounded::new(plain, limits.bytes);
    let reader = LayerReader::new(plain, Dialect::Context, spool.blob);
    let mut files = Files {
        written,
        limits,
        tree: Tree::new(),
        entries: 0,
        names: 0,
    };
    match files.read(reader, spool) {
        Err(_) if exceeded.get() => Err(files.too_large(format!("{} bytes", limits.bytes))),
        Err(error) => Err(error),
        Ok(()) => Ok(files.tree),
    }
}

struct Files<'a> {
    written: &'a str,
    limits: &'a ContextLimits,
    tree: Tree,
    entries: u64,
    names: u64,
}

impl Files<'_> {
    fn read<R: Read, W: Write>(
        &mut self,
        mut reader: LayerReader<R>,
        spool: &mut Spool<W>,
    ) -> Result<(), Error> {
        loop {
            let entry = match reader.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) if self.entries == 0 => {
                    not_an_archive(error, self.written)?;
                    return Err(self.no_archive());
                }
                Err(source) => return Err(self.damaged(source)),
            };
            self.check(&entry.change)?;
            let change = take_over(entry, self.written, spool)?;
            let applied = self.tree.apply(change);
            applied.map_err(|source| self.damaged(source))?;
        }
        // The checksum of a compressed stream is behind the last entry, and whoever sends wants to get rid of it.
        let rest = reader.finish();
        if self.entries == 0 {
            // An archive without files holds no Dockerfile either; as for ADD it is none.
            return Err(self.no_archive());
        }
        rest.map(drop).map_err(|source| self.damaged(source))
    }

    /// Whether a build context may have it.
    fn check(&mut self, change: &Change) -> Result<(), Error> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.too_large(format!("{} entries", self.limits.entries)));
        }
        self.names += weight(change);
        if self.names > self.limits.names {
            let limit = format!("{} bytes of names and attributes", self.limits.names);
            return Err(self.too_large(limit));
        }
        let path = change.path();
        if self.leads_through_a_link(path) {
            return Err(self.refused(
                path,
                "what lies above it is a symbolic link, or no directory",
            ));
        }
        if let Change::Put {
            entry: Entry::CharDevice(_) | Entry::BlockDevice(_),
            ..
        } = change
        {
            return Err(self.refused(path, "a build context has no devices"));
        }
        Ok(())
    }

    /// Archives of directories never have such entries; those that want to write elsewhere do.
    fn leads_through_a_link(&self, path: &ImagePath) -> bool {
        let mut at = Some(self.tree.root());
        let Some(parent) = path.parent() else {
            return false;
        };
        for name in parent.components() {
            at = at.and_then(|directory| self.tree.child(directory, name));
            if at.is_some_and(|id| !self.tree.node(id).is_directory()) {
                return true;
            }
        }
        false
    }

    fn refused(&self, path: &ImagePath, reason: &'static str) -> Error {
        Error::Entry {
            written: self.written.to_owned(),
            path: path.clone(),
            reason,
        }
    }

    fn too_large(&self, limit: String) -> Error {
        Error::TooLarge {
            written: self.written.to_owned(),
            limit,
        }
    }

    fn damaged(&self, source: kigumi_layer::Error) -> Error {
        Error::Archive {
            written: self.written.to_owned(),
            source,
        }
    }

    fn no_archive(&self) -> Error {
        Error::NoArchive {
            written: self.written.to_owned(),
        }
    }
}

/// How many bytes of an entry stay in memory.
fn weight(change: &Change) -> u64 {
    let name = change.path().as_relative().len();
    let rest = match change {
        Change::Put {
            entry, metadata, ..
        } => {
            let attributes = metadata.xattrs.iter();
            let attributes: usize = attributes
                .map(|(name, value)| name.len() + value.len())
                .sum();
            let target = match entry {
                Entry::Symlink(target) => target.len(),
                Entry::Directory
                | Entry::File(_)
                | Entry::CharDevice(_)
                | Entry::BlockDevice(_)
                | Entry::Fifo => 0,
            };
            attributes + target
        }
        Change::Link { target, .. } => target.as_relative().len(),
        Change::Delete { .. } | Change::ClearDir { .. } => 0,
    };
    (name + rest) as u64
}
