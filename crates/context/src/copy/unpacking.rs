//! ADD of archives.

use kigumi_layer::{Change, Entry, ImagePath, Metadata, Mode};

use super::placing::{Placing, copied_xattrs};
use super::{Archive, CopyError, Owner};
use crate::target::{Fault, LinkFault, NewDirectory};

impl Placing<'_> {
    /// Puts the entries of an archive below the destination, which is a directory for it. `--chmod` has no effect (T-ADD-05).
    pub(super) fn unpack(&mut self, archive: &Archive, written: &str) -> Result<(), CopyError> {
        let below = self.follow(&self.spec.destination.path)?;
        self.make_directories(&below, Mode::DIRECTORY)?;
        for entry in &archive.entries {
            match entry {
                // The archive's own root says nothing about the destination (T-ADD-03).
                change if change.path().is_root() => {}
                Change::Put {
                    path,
                    entry,
                    metadata,
                } => {
                    let at = self.place(&below, path)?;
                    let metadata = self.entry_metadata(entry, metadata);
                    self.target.put(&at, entry.clone(), metadata);
                }
                Change::Link { path, target } => self.hard_link(&below, path, target, written)?,
                // An archive has no whiteouts: a name that looks like one is a file's.
                Change::Delete { .. } | Change::ClearDir { .. } => {}
            }
        }
        Ok(())
    }

    fn hard_link(
        &mut self,
        below: &ImagePath,
        path: &ImagePath,
        target: &ImagePath,
        written: &str,
    ) -> Result<(), CopyError> {
        let at = self.place(below, path)?;
        let found = self
            .target
            .follow_parents(&below.join_path(target))
            .map_err(|fault| self.fault(fault))?;
        let number = self
            .target
            .link_target(&found)
            .map_err(|fault| match fault {
                LinkFault::Missing => CopyError::LinkTargetMissing {
                    written: written.to_owned(),
                    path: at.clone(),
                    target: found.clone(),
                },
                LinkFault::IsDirectory => CopyError::LinkTargetIsDirectory {
                    written: written.to_owned(),
                    path: at.clone(),
                    target: found.clone(),
                },
            })?;
        if at != found {
            self.target.link(&at, number);
        }
        Ok(())
    }

    /// Where an entry goes: links on the way are followed inside the root, missing directories are made 0755 0:0 (T-ADD-06).
    fn place(&mut self, below: &ImagePath, path: &ImagePath) -> Result<ImagePath, CopyError> {
        let at = self
            .target
            .follow_parents(&below.join_path(path))
            .map_err(|fault| self.fault(fault))?;
        let implied = NewDirectory {
            mode: Mode::DIRECTORY,
            uid: 0,
            gid: 0,
            now: self.spec.now,
        };
        self.target
            .make_directories(&at.parent().unwrap_or_default(), implied)
            .map_err(|fault| self.fault(fault))?;
        Ok(at)
    }

    fn fault(&self, fault: Fault) -> CopyError {
        fault.of_destination(&self.spec.destination.written)
    }

    fn entry_metadata(&self, entry: &Entry, metadata: &Metadata) -> Metadata {
        let (uid, gid) = match self.spec.owner {
            Owner::Given { uid, gid } => (uid, gid),
            Owner::Assumed { .. } | Owner::Kept => (metadata.uid, metadata.gid),
        };
        let mode = match entry {
            Entry::Symlink(_) => Mode::SYMLINK,
            Entry::Directory
            | Entry::File(_)
            | Entry::CharDevice(_)
            | Entry::BlockDevice(_)
            | Entry::Fifo => metadata.mode,
        };
        Metadata {
            mode,
            uid,
            gid,
            mtime: metadata.mtime,
            xattrs: copied_xattrs(&metadata.xattrs),
        }
    }
}
