use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use kigumi_layer::{Change, Entry, FileContent, ImagePath, Metadata, Origin, Tree};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::disk::{self, Stat};
use crate::{Error, RootDir};

/// What is known of an entry when the filter is asked.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// Its path below the listed directory.
    pub path: &'a ImagePath,
    /// Whether it is a directory (a link to one is not).
    pub is_directory: bool,
}

/// What becomes of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is in the tree; of a directory, what lies below is asked for.
    Take,
    /// It is not in the tree, and nothing below it is looked at.
    Skip,
    /// A directory that is in the tree only if something below it is (T-IGN, `!dd/ee`).
    SkipButDescend,
}

/// A directory of the host as a tree. No file is opened: contents are [`Origin::Stored`] in `store`, each
/// equal only to itself. Sockets become empty files, as BuildKit does; fifos and devices stay what they are (T-BUG-11).
///
/// The filter is asked for every entry, parents first and names in order, but not for the directory itself.
///
/// # Errors
/// [`Error`] with the file that could not be looked at.
pub fn listing(
    directory: &RootDir,
    store: u32,
    filter: &mut dyn FnMut(Listed<'_>) -> Verdict,
) -> Result<Tree, Error> {
    let mut lister = Lister {
        root: directory,
        store,
        tree: Tree::new(),
        links: HashMap::new(),
        undecided: BTreeMap::new(),
    };
    let root = ImagePath::root();
    let fd = directory
        .open_directory(&root, OFlags::RDONLY)
        .map_err(|source| Error::file("list", &root, source))?;
    let metadata = metadata(&fd, b".", directory.stat(), &root)?;
    lister.add(root.clone(), Entry::Directory, metadata)?;
    lister.run(filter)?;
    Ok(lister.tree)
}

struct Lister<'a> {
    root: &'a RootDir,
    store: u32,
    tree: Tree,
    /// First names of inodes that have several.
    links: HashMap<(u64, u64), ImagePath>,
    /// Directories that are taken when something below is.
    undecided: BTreeMap<ImagePath, Metadata>,
}

impl Lister<'_> {
    fn run(&mut self, filter: &mut dyn FnMut(Listed<'_>) -> Verdict) -> Result<(), Error> {
        let mut pending = vec![ImagePath::root()];
        while let Some(path) = pending.pop() {
            let failed = |source: Errno| Error::file("list", &path, source);
            let fd = self
                .root
                .open_directory(&path, OFlags::RDONLY)
                .map_err(failed)?;
            let mut names = disk::names(&fd).map_err(failed)?;
            names.sort();
            let mut below = Vec::new();
            for name in names {
                let stat = match disk::stat_at(&fd, &name) {
                    Ok(stat) => stat,
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(failed(error)),
                };
                let path = path.join(&name);
                let verdict = filter(Listed {
                    path: &path,
                    is_directory: stat.is_directory(),
                });
                if self.entry(&fd, &name, &path, &stat, verdict)? {
                    below.push(path);
                }
            }
            // The last one pushed comes next, so that a directory's contents follow it.
            pending.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// Whether what is in the entry is to be listed, too.
    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &ImagePath,
        stat: &Stat,
        verdict: Verdict,
    ) -> Result<bool, Error> {
        match verdict {
            Verdict::Skip => return Ok(false),
            Verdict::SkipButDescend if !stat.is_directory() => return Ok(false),
            Verdict::SkipButDescend => {
                let metadata = metadata(directory, name, stat, path)?;
                self.undecided.insert(path.clone(), metadata);
                return Ok(true);
            }
            Verdict::Take => {}
        }
        self.take_parents(path)?;
        if stat.identity.nlink > 1 && !stat.is_directory() {
            if let Some(target) = self.links.get(&stat.inode()) {
                let change = Change::Link {
                    path: path.clone(),
                    target: target.clone(),
                };
                self.apply(change)?;
                return Ok(false);
            }
            self.links.insert(stat.inode(), path.clone());
        }
        let entry = self.content(directory, name, path, stat)?;
        let metadata = metadata(directory, name, stat, path)?;
        self.add(path.clone(), entry, metadata)?;
        Ok(stat.is_directory())
    }

    fn take_parents(&mut self, path: &ImagePath) -> Result<(), Error> {
        let mut taken = Vec::new();
        let mut above = path.parent();
        while let Some(directory) = above.filter(|_| !self.undecided.is_empty()) {
            above = directory.parent();
            taken.extend(self.undecided.remove_entry(&directory));
        }
        for (directory, metadata) in taken.into_iter().rev() {
            self.add(directory, Entry::Directory, metadata)?;
        }
        Ok(())
    }

    fn content(
        &self,
        directory: &OwnedFd,
        name: &[u8],
        path: &ImagePath,
        stat: &Stat,
    ) -> Result<Entry, Error> {
        Ok(match stat.identity.kind() {
            FileType::Directory => Entry::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(directory, name, Vec::new())
                    .map_err(|source| Error::file("read link", path, source))?;
                Entry::Symlink(target.to_bytes().into())
            }
            FileType::CharacterDevice => Entry::CharDevice(stat.device),
            FileType::BlockDevice => Entry::BlockDevice(stat.device),
            FileType::Fifo => Entry::Fifo,
            FileType::Socket | FileType::Unknown => Entry::File(FileContent::inline(b"")),
            FileType::RegularFile => Entry::File(FileContent {
                size: stat.identity.size,
                identity: disk::unique_content(),
                origin: Origin::Stored {
                    store: self.store,
                    path: Arc::from(path.as_relative()),
                },
            }),
        })
    }

    fn add(&mut self, path: ImagePath, entry: Entry, metadata: Metadata) -> Result<(), Error> {
        self.apply(Change::Put {
            path,
            entry,
            metadata,
        })
    }

    fn apply(&mut self, change: Change) -> Result<(), Error> {
        apply(&mut self.tree, change)
    }
}

/// Puts what is on the disk into a tree.
pub(crate) fn apply(tree: &mut Tree, change: Change) -> Result<(), Error> {
    let path = change.path().clone();
    tree.apply(change)
        .map(drop)
        .map_err(|source| Error::Tree { path, source })
}

fn metadata(
    directory: &OwnedFd,
    name: &[u8],
    stat: &Stat,
    path: &ImagePath,
) -> Result<Metadata, Error> {
    let xattrs = disk::xattrs_at(directory, name)
        .map_err(|source| Error::file("read attributes of", path, source))?;
    Ok(Metadata {
        mode: stat.identity.permissions(),
        uid: stat.identity.uid,
        gid: stat.identity.gid,
        mtime: stat.identity.mtime,
        xattrs,
    })
}
