//! How what was found gets into the tree.

use std::collections::HashMap;

use kigumi_layer::{Change, ContentIdentity, Entry, FileContent, ImagePath, Origin};
use kigumi_oci::Digester;

use super::Index;
use super::compare::{Finding, Here, Late, What};
use crate::{Error, RootDir, Virtual, disk, listing};

impl Index {
    /// Puts what was found in one directory into the tree. Directories come before what is in them.
    pub(super) fn put_all(
        &mut self,
        found: impl IntoIterator<Item = Finding>,
        root: &RootDir,
    ) -> Result<(), Error> {
        found.into_iter().try_for_each(|finding| match finding {
            Finding::Gone(path) => self.drop_path(path),
            Finding::Here(here) => self.put(&here, None, root),
        })
    }

    /// Puts what had to wait for all the rest.
    pub(super) fn put_late(&mut self, late: Late, root: &RootDir) -> Result<(), Error> {
        let Late {
            mut linked,
            mut scaffolds,
            mut anchors,
            visits: _,
        } = late;
        linked.sort_by(|a, b| a.path.cmp(&b.path));
        anchors.sort_by(|(_, a), (_, b)| a.cmp(b));
        let mut names: FirstNames = anchors.into_iter().rev().collect();
        for here in linked {
            let first = first_name(&mut names, &here);
            self.put(&here, first, root)?;
        }
        // Those that hold something were made with it, without what they have of their own.
        scaffolds.sort_by(|a, b| a.path.cmp(&b.path));
        for here in scaffolds {
            if self.tree.lookup(&here.path).is_some() {
                self.put(&here, None, root)?;
            }
        }
        Ok(())
    }

    fn drop_path(&mut self, path: ImagePath) -> Result<(), Error> {
        self.forget(&path);
        self.apply(Change::Delete { path })
    }

    /// `first` is the name that this is a further one of.
    fn put(&mut self, here: &Here, first: Option<ImagePath>, root: &RootDir) -> Result<(), Error> {
        let identity = here.identity;
        let path = here.path.clone();
        let partial = self
            .virtuals
            .get(&path)
            .filter(|entry| matches!(entry, Virtual::Partial(_)) && self.is_survivor(here))
            .cloned();
        let change = match first {
            Some(target) => Change::Link {
                path: path.clone(),
                target,
            },
            None => self.as_put(here, partial.as_ref(), root)?,
        };
        // A further name was looked at after the first, and what is recorded of both is what the first look saw: a change between
        // the two has to differ from it at the next scan.
        let recorded = match &change {
            Change::Link { target, .. } => self.tree.lookup(target),
            Change::Put { .. } | Change::Delete { .. } | Change::ClearDir { .. } => None,
        };
        let recorded = recorded.and_then(|id| self.known.seen(id));
        let recorded = recorded.map_or(identity, |seen| seen.identity);
        if identity.is_directory() {
            // What is virtual below stays so, whatever became of the directory itself.
            self.virtuals.remove(&path);
        } else {
            self.forget(&path);
        }
        if let Some(partial) = partial {
            self.virtuals.insert(path.clone(), partial);
        }
        self.apply(change)?;
        if let Some(id) = self.tree.lookup(&path) {
            self.known.note(id, recorded);
        }
        Ok(())
    }

    /// Whether a finding is what was there before, changed in place.
    fn is_survivor(&self, here: &Here) -> bool {
        here.prior
            .and_then(|id| self.known.seen(id))
            .is_some_and(|seen| here.continues(&seen))
    }

    fn as_put(
        &self,
        here: &Here,
        partial: Option<&Virtual>,
        root: &RootDir,
    ) -> Result<Change, Error> {
        let prior = here.prior.map(|id| (self.tree.node(id), id));
        let recorded =
            prior.and_then(|(node, id)| self.known.seen(id).map(|seen| (&node.metadata, seen)));
        let metadata = here.metadata(recorded, partial);
        let entry = match &here.what {
            What::Directory | What::Scaffold => Entry::Directory,
            What::Symlink(target) => Entry::Symlink(target.clone()),
            What::CharDevice(device) => Entry::CharDevice(*device),
            What::BlockDevice(device) => Entry::BlockDevice(*device),
            What::Fifo => Entry::Fifo,
            What::File => {
                let comparable = prior
                    .filter(|(node, _)| node.metadata == metadata)
                    .and_then(|(node, _)| node.file());
                Entry::File(FileContent {
                    size: here.identity.size,
                    identity: identify(here, comparable, root)?,
                    origin: Origin::Live,
                })
            }
        };
        Ok(Change::Put {
            path: here.path.clone(),
            entry,
            metadata,
        })
    }

    /// Forgets what was recorded of `path` and of all below. What is known of a file that has another name as well is still to be compared with that
    /// one, and which of the two is looked at first is a matter of luck.
    fn forget(&mut self, path: &ImagePath) {
        for (_, id) in self.tree.walk_below(path) {
            if self.tree.links(id) == 1 {
                self.known.forget(id);
            }
        }
        self.virtuals.remove_below(path);
    }

    fn apply(&mut self, change: Change) -> Result<(), Error> {
        listing::apply(&mut self.tree, change)
    }
}

/// For inodes with several names: the one that stands in the tree as the file.
type FirstNames = HashMap<(u64, u64), ImagePath>;

/// The name that a finding is a further hard link of (T-SNAP-05: by device *and* inode).
fn first_name(names: &mut FirstNames, here: &Here) -> Option<ImagePath> {
    match names.get(&here.identity.inode()) {
        Some(first) if *first != here.path => Some(first.clone()),
        Some(_) | None => {
            names.insert(here.identity.inode(), here.path.clone());
            None
        }
    }
}

/// Contents are read only where that can make a difference: everything else about the file is as it was, and what it held is known.
fn identify(
    here: &Here,
    comparable: Option<&FileContent>,
    root: &RootDir,
) -> Result<ContentIdentity, Error> {
    let is_comparable = comparable.is_some_and(|content| {
        content.size == here.identity.size && matches!(content.identity, ContentIdentity::Sha256(_))
    });
    if !is_comparable {
        return Ok(disk::unique_content());
    }
    let mut file = root.open_content(&here.path)?;
    let (digest, bytes) =
        Digester::new()
            .drain(&mut file)
            .map_err(|source| Error::ReadContent {
                path: here.path.clone(),
                source,
            })?;
    if bytes != here.identity.size {
        return Err(Error::Moved {
            path: here.path.clone(),
        });
    }
    Ok(ContentIdentity::Sha256(digest))
}
