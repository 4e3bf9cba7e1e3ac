//! One directory of the disk beside the same directory of the tree.

use std::collections::HashSet;

use kigumi_layer::{Device, ImagePath, Kind, Metadata, Node, NodeId, Tree, Xattrs};
use rustix::fs::FileType;

use super::known::{Known, Seen};
use super::names::Names;
use super::walk::{Directory, Looked, Next};
use crate::disk::{self, Identity, Stat};
use crate::{Error, Exclusions, Virtual, Virtuals};

/// Something that is not as it was.
#[derive(Debug)]
pub(super) enum Finding {
    /// A path of the tree that is not on the disk any more.
    Gone(ImagePath),
    /// Something new or changed.
    Here(Box<Here>),
}

/// Something on the disk that is new or changed. All those with several names are there at once, so it is kept small.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) path: ImagePath,
    pub(super) identity: Identity,
    pub(super) what: What,
    pub(super) xattrs: Xattrs,
    /// What the tree has at this path.
    pub(super) prior: Option<NodeId>,
}

/// The kind of a finding; contents are looked at later.
#[derive(Debug)]
pub(super) enum What {
    File,
    Directory,
    /// A directory that counts only if something in it does: nobody touched it, but the tree does not have it.
    Scaffold,
    Symlink(Box<[u8]>),
    CharDevice(Device),
    BlockDevice(Device),
    Fifo,
}

/// What one thread found.
#[derive(Default, Debug)]
pub(super) struct Findings {
    /// What can be put into the tree at once.
    pub(super) list: Vec<Finding>,
    pub(super) late: Late,
}

/// What can be put into the tree only when all the rest is.
#[derive(Default, Debug)]
pub(super) struct Late {
    /// Files with several names: the first of them, in order of the paths, is the file, and the others are links to it.
    #[expect(
        clippy::vec_box,
        reason = "a finding has 136 bytes, and a list of them grows by doubling"
    )]
    pub(super) linked: Vec<Box<Here>>,
    /// Directories that count only if something in them does.
    #[expect(
        clippy::vec_box,
        reason = "a finding has 136 bytes, and a list of them grows by doubling"
    )]
    pub(super) scaffolds: Vec<Box<Here>>,
    /// Unchanged files with several names, by inode.
    pub(super) anchors: Vec<((u64, u64), ImagePath)>,
    pub(super) visits: Visits,
}

/// How many directories a scan looked into, and how many of them it had to list.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Visits {
    pub(super) directories: usize,
    pub(super) listed: usize,
}

impl Findings {
    fn add(&mut self, here: Here) {
        let here = Box::new(here);
        if matches!(here.what, What::Scaffold) {
            self.late.scaffolds.push(here);
        } else if here.identity.nlink > 1 && !here.identity.is_directory() {
            self.late.linked.push(here);
        } else {
            self.list.push(Finding::Here(here));
        }
    }
}

/// Names that a directory lists and that stand for nothing.
pub(super) type Absent<'a> = HashSet<&'a [u8]>;

/// What a name stands for, if it is something that a tree may have: sockets are not there (T-SNAP-14).
pub(super) fn present<'a>(
    directory: &Directory<'_, Beside>,
    name: &'a [u8],
    absent: &mut Absent<'a>,
) -> Result<Option<Stat>, Error> {
    match directory.look(name)? {
        Looked::There(stat) if stat.identity.kind() != FileType::Socket => return Ok(Some(stat)),
        Looked::Gone | Looked::There(_) => drop(absent.insert(name)),
        Looked::Hidden => {}
    }
    Ok(None)
}

/// What the disk is compared with.
#[derive(Clone, Copy)]
pub(super) struct Comparison<'a> {
    pub(super) tree: &'a Tree,
    pub(super) known: &'a Known,
    pub(super) virtuals: &'a Virtuals,
    pub(super) exclusions: &'a Exclusions,
}

/// The node of the tree that a directory of the disk stands beside; `None` when everything in it is new.
pub(super) type Beside = Option<NodeId>;

impl Comparison<'_> {
    /// Compares an entry of a directory with what the tree has there.
    pub(super) fn entry(
        &self,
        directory: &Directory<'_, Beside>,
        (name, prior): (&[u8], Beside),
        stat: &Stat,
        (findings, next): (&mut Findings, &mut Next<Beside>),
    ) -> Result<(), Error> {
        let below = self.below(directory, (name, prior), stat, findings)?;
        if let Descend::Into(beside) = below {
            next.push((directory.path.join(name), beside));
        }
        Ok(())
    }

    /// Whether a listing has exactly the names that the tree has there. Both are in order.
    pub(super) fn has_exactly(&self, beside: NodeId, names: &Names) -> bool {
        let expected = self.tree.children(beside).map(|(name, _)| name);
        names.in_order().eq(expected)
    }

    pub(super) fn root(
        &self,
        directory: &Directory<'_, Beside>,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let id = self.tree.root();
        let is_same = self
            .known
            .seen(id)
            .is_some_and(|seen| seen.identity == directory.stat.identity);
        if is_same {
            return Ok(());
        }
        let xattrs = xattrs(directory, b".", directory.path)?;
        findings.add(Here {
            path: ImagePath::root(),
            identity: directory.stat.identity,
            what: What::Directory,
            xattrs,
            prior: Some(id),
        });
        Ok(())
    }

    fn below(
        &self,
        directory: &Directory<'_, Beside>,
        (name, prior): (&[u8], Beside),
        stat: &Stat,
        findings: &mut Findings,
    ) -> Result<Descend, Error> {
        let node = prior.map(|id| self.tree.node(id));
        let same_kind = node.is_some_and(|node| kind_of(node) == stat.identity.kind());
        if same_kind && prior.is_some_and(|id| self.known.is_unchanged(id, stat)) {
            if stat.is_directory() {
                return Ok(Descend::Into(prior));
            }
            if stat.identity.nlink > 1 {
                let path = directory.path.join(name);
                findings.late.anchors.push((stat.inode(), path));
            }
            return Ok(Descend::No);
        }
        let path = directory.path.join(name);
        if self.is_stand_in(node, stat, &path) {
            return Ok(Descend::No);
        }
        let is_untouched = prior.is_none() && self.is_foreign(stat, &path);
        if !is_untouched || stat.is_directory() {
            let here = describe(directory, name, stat, (prior, is_untouched))?;
            findings.add(here);
        }
        Ok(match (stat.is_directory(), same_kind) {
            (false, _) => Descend::No,
            (true, true) => Descend::Into(prior),
            (true, false) => Descend::Into(None),
        })
    }

    /// Whether this was there before anything was unpacked. Above mounts, others make and remove directories as they like.
    fn is_foreign(&self, stat: &Stat, path: &ImagePath) -> bool {
        self.known.foreign.get(path).is_some_and(|seen| {
            seen.identity == stat.identity || stat.is_directory() && self.exclusions.is_pinned(path)
        })
    }

    /// A directory that is only there because something below it is mounted or protected, where the image has something else (D5).
    pub(super) fn is_stand_in(&self, node: Option<&Node>, stat: &Stat, path: &ImagePath) -> bool {
        stat.is_directory()
            && node.is_some_and(|node| !node.is_directory())
            && matches!(self.virtuals.get(path), Some(Virtual::Absent(_)))
            && self.exclusions.is_pinned(path)
    }

    /// What the tree has in this directory and the disk has not.
    pub(super) fn missing(
        &self,
        directory: &Directory<'_, Beside>,
        (beside, is_there): (NodeId, impl Fn(&[u8]) -> bool),
        findings: &mut Findings,
    ) {
        let mut pending: Vec<(ImagePath, NodeId)> = self
            .tree
            .children(beside)
            .filter(|(name, _)| !is_there(name))
            .map(|(name, id)| (directory.path.join(name), id))
            .collect();
        while let Some((path, id)) = pending.pop() {
            if self.exclusions.is_excluded(&path)
                || matches!(self.virtuals.get(&path), Some(Virtual::Absent(_)))
            {
                continue;
            }
            let holds_excluded = self.exclusions.is_pinned(&path)
                && self
                    .tree
                    .walk_below(&path)
                    .any(|(below, _)| self.exclusions.is_excluded(&below));
            if holds_excluded {
                // What is excluded is never whited out, nor are the directories above it.
                pending.extend(
                    self.tree
                        .children(id)
                        .map(|(name, below)| (path.join(name), below)),
                );
            } else {
                findings.list.push(Finding::Gone(path));
            }
        }
    }
}

fn describe(
    directory: &Directory<'_, Beside>,
    name: &[u8],
    stat: &Stat,
    (prior, is_scaffold): (Option<NodeId>, bool),
) -> Result<Here, Error> {
    let path = directory.path.join(name);
    if name.starts_with(b".wh.") {
        return Err(Error::WhiteoutName { path });
    }
    let what = match stat.identity.kind() {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(&directory.fd, name, Vec::new())
                .map_err(|source| Error::file("read link", &path, source))?;
            What::Symlink(target.to_bytes().into())
        }
        FileType::Directory if is_scaffold => What::Scaffold,
        FileType::Directory => What::Directory,
        FileType::CharacterDevice => What::CharDevice(stat.device),
        FileType::BlockDevice => What::BlockDevice(stat.device),
        FileType::Fifo => What::Fifo,
        FileType::RegularFile | FileType::Socket | FileType::Unknown => What::File,
    };
    Ok(Here {
        identity: stat.identity,
        what,
        xattrs: xattrs(directory, name, &path)?,
        prior,
        path,
    })
}

fn xattrs(
    directory: &Directory<'_, Beside>,
    name: &[u8],
    path: &ImagePath,
) -> Result<Xattrs, Error> {
    disk::xattrs_at(&directory.fd, name)
        .map_err(|source| Error::file("read attributes of", path, source))
}

enum Descend {
    No,
    Into(Beside),
}

pub(super) fn kind_of(node: &Node) -> FileType {
    match &node.kind {
        Kind::Directory(_) => FileType::Directory,
        Kind::File(_) => FileType::RegularFile,
        Kind::Symlink(_) => FileType::Symlink,
        Kind::CharDevice(_) => FileType::CharacterDevice,
        Kind::BlockDevice(_) => FileType::BlockDevice,
        Kind::Fifo => FileType::Fifo,
    }
}

impl Here {
    /// Whether this is what was recorded, changed in place. Directories go by their path: overlayfs may renumber them.
    pub(super) fn continues(&self, seen: &Seen) -> bool {
        let (now, then) = (&self.identity, &seen.identity);
        now.is_same_inode(then) || now.is_directory() && then.is_directory()
    }

    /// Owner, permissions and time as the image shall have them.
    ///
    /// What the kernel had refused to set when it was unpacked, and nobody has changed since, stays as the image says (X7): the disk is trusted only
    /// where it differs from what was recorded.
    pub(super) fn metadata(
        &self,
        prior: Option<(&Metadata, Seen)>,
        partial: Option<&Virtual>,
    ) -> Metadata {
        let now = &self.identity;
        let mut metadata = Metadata {
            mode: now.permissions(),
            uid: now.uid,
            gid: now.gid,
            mtime: now.mtime,
            xattrs: self.xattrs.clone(),
        };
        let Some((image, seen)) = prior.filter(|(_, seen)| self.continues(seen)) else {
            return metadata;
        };
        let then = &seen.identity;
        if then.permissions() == now.permissions() {
            metadata.mode = image.mode;
        }
        if then.uid == now.uid {
            metadata.uid = image.uid;
        }
        if then.gid == now.gid {
            metadata.gid = image.gid;
        }
        if then.mtime == now.mtime {
            metadata.mtime = image.mtime;
        }
        if let Some(Virtual::Partial(refused)) = partial {
            for (name, value) in image.xattrs.iter() {
                if refused.xattrs.iter().any(|refused| **refused == *name) {
                    metadata.xattrs.insert(name, value);
                }
            }
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_has_136_bytes() {
        assert_eq!(size_of::<Here>(), 136);
    }
}
