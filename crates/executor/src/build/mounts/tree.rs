use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use kigumi_layer::{Change, Entry, FileContent, ImagePath, Kind, Node, NodeId, Origin, Tree};
use kigumi_rootfs::{
    DisposableRoot, Exclusions, Protection, RootDir, Unpacker, Verdict, Virtuals, listing,
};
use kigumi_run::Cancel;

use crate::build::contents::Contents;
use crate::error::BuildError;

/// What a lone file is called in the directory that it is written into.
const LONE: &[u8] = b"file";

/// A part of a tree, ready to be written somewhere: its top is `/`, or `/file` if it is not a directory.
#[derive(Debug)]
pub(crate) struct Files {
    changes: Vec<Change>,
    is_directory: bool,
}

/// Numbers the directories of this process: several may be made in one area.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl Files {
    /// Everything at `path` and below. Hard links among them stay links.
    pub(crate) fn below(tree: &Tree, path: &ImagePath, belongs_to_root: bool) -> Self {
        let is_directory = tree.get(path).is_some_and(Node::is_directory);
        let top = if is_directory {
            ImagePath::root()
        } else {
            ImagePath::root().join(LONE)
        };
        let mut first_names: HashMap<NodeId, ImagePath> = HashMap::new();
        let mut changes = Vec::new();
        for (found, id) in tree.walk_below(path) {
            let below = found.strip_prefix(path).unwrap_or_default();
            let place = top.join_path(&below);
            let node = tree.node(id);
            if !node.is_directory() && tree.links(id) > 1 {
                if let Some(target) = first_names.get(&id) {
                    changes.push(Change::Link {
                        path: place,
                        target: target.clone(),
                    });
                    continue;
                }
                first_names.insert(id, place.clone());
            }
            let mut metadata = node.metadata.clone();
            if belongs_to_root {
                (metadata.uid, metadata.gid) = (0, 0);
            }
            changes.push(Change::Put {
                path: place,
                entry: entry(node),
                metadata,
            });
        }
        Self {
            changes,
            is_directory,
        }
    }

    /// Everything in a directory of the host, to be read there when it is written.
    fn of_directory(directory: &RootDir) -> Result<Self, kigumi_rootfs::Error> {
        let tree = listing(directory, 0, &mut |_| Verdict::Take)?;
        Ok(Self::below(&tree, &ImagePath::root(), false))
    }

    /// What they are.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(crate) fn changes_mut(&mut self) -> &mut [Change] {
        &mut self.changes
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// Where the bytes are of those that are kept in this store.
    pub(crate) fn stored(self, kept_in: u32) -> Vec<ImagePath> {
        let contents = self.changes.iter().filter_map(Change::file);
        contents
            .filter_map(|content| match &content.origin {
                Origin::Stored { store, path } if *store == kept_in => ImagePath::parse(path).ok(),
                Origin::Stored { .. } | Origin::Inline(_) | Origin::Blob { .. } | Origin::Live => {
                    None
                }
            })
            .collect()
    }

    /// Writes them into a new directory in `area` and says where the top is.
    pub(crate) fn write(
        &self,
        area: &Path,
        contents: &Contents,
        cancel: &Cancel,
    ) -> Result<PathBuf, BuildError> {
        let directory = new_directory(area)?;
        self.write_into(&directory, cancel, |path, content| {
            contents.open(path, content)
        })?;
        Ok(self.top(directory))
    }

    fn top(&self, directory: PathBuf) -> PathBuf {
        if self.is_directory {
            directory
        } else {
            directory.join(String::from_utf8_lossy(LONE).as_ref())
        }
    }

    pub(super) fn write_into<'a>(
        &self,
        directory: &Path,
        cancel: &Cancel,
        open: impl Fn(&ImagePath, &FileContent) -> Result<Box<dyn Read + 'a>, BuildError>,
    ) -> Result<(), BuildError> {
        let failed = BuildError::root("write the files of a mount");
        let root = DisposableRoot::of_directory(directory)
            .and_then(|root| root.open())
            .map_err(&failed)?;
        let exclusions = Exclusions::new(&root, &Protection::default()).map_err(&failed)?;
        let mut tree = Tree::new();
        let mut unpacker = Unpacker::new(&root, &exclusions, Virtuals::default());
        for change in &self.changes {
            if let Some(signal) = cancel.signal() {
                return Err(BuildError::Cancelled { signal });
            }
            let effect = tree
                .apply(change.clone())
                .map_err(|source| BuildError::Layer {
                    operation: format!("put `{}` into a mount", change.path()),
                    source,
                })?;
            let mut content = match change.file() {
                Some(content) => Some(open(change.path(), content)?),
                None => None,
            };
            let reader = content.as_mut().map(|reader| reader as &mut dyn Read);
            unpacker
                .apply(&mut tree, change, &effect, reader)
                .map_err(&failed)?;
        }
        unpacker.finish(&mut tree).map(drop).map_err(&failed)
    }
}

/// Copies a directory of the host with everything that files have, into an empty one. Nothing is held in memory but names and attributes.
pub(super) fn copy_directory(from: &Path, to: &Path, cancel: &Cancel) -> Result<(), BuildError> {
    let failed = |source| BuildError::Root {
        operation: format!("copy `{}` to `{}`", from.display(), to.display()),
        source,
    };
    let source = RootDir::open(from).map_err(failed)?;
    let files = Files::of_directory(&source).map_err(failed)?;
    files.write_into(to, cancel, |path, _| {
        let file = source.open_content(path).map_err(failed)?;
        Ok(Box::new(file))
    })
}

pub(super) fn new_directory(area: &Path) -> Result<PathBuf, BuildError> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = area.join(format!("made-{number}"));
    std::fs::create_dir(&directory).map_err(|source| BuildError::Work {
        operation: "make a directory for a mount",
        directory: area.to_owned(),
        source,
    })?;
    Ok(directory)
}

fn entry(node: &Node) -> Entry {
    match &node.kind {
        Kind::Directory(_) => Entry::Directory,
        Kind::File(content) => Entry::File(content.clone()),
        Kind::Symlink(target) => Entry::Symlink(target.clone()),
        Kind::CharDevice(device) => Entry::CharDevice(*device),
        Kind::BlockDevice(device) => Entry::BlockDevice(*device),
        Kind::Fifo => Entry::Fifo,
    }
}

#[cfg(test)]
mod tests {
    use kigumi_layer::{Metadata, Mode, Timestamp};

    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text.as_bytes()).unwrap()
    }

    fn tree() -> Tree {
        let metadata = |mode| Metadata {
            uid: 1000,
            gid: 1000,
            ..Metadata::root_owned(Mode::new(mode), Timestamp::from_seconds(5))
        };
        let put = |at: &str, entry, mode| Change::Put {
            path: path(at),
            entry,
            metadata: metadata(mode),
        };
        let file = |text: &str| Entry::File(FileContent::inline(text.as_bytes()));
        let mut tree = Tree::new();
        let changes = [
            put("/d", Entry::Directory, 0o711),
            put("/d/f", file("content"), 0o604),
            Change::Link {
                path: path("/d/g"),
                target: path("/d/f"),
            },
            Change::Link {
                path: path("/outside"),
                target: path("/d/f"),
            },
            put("/d/l", Entry::Symlink(Box::from(*b"f")), 0o777),
            put("/e", file("other"), 0o644),
        ];
        for change in changes {
            tree.apply(change).unwrap();
        }
        tree
    }

    /// What lies in a directory: names, modes, owners, link counts, times.
    fn listed(directory: &Path) -> Vec<String> {
        use std::os::unix::fs::MetadataExt;
        let mut lines = Vec::new();
        let mut pending = vec![directory.to_owned()];
        while let Some(at) = pending.pop() {
            let meta = std::fs::symlink_metadata(&at).unwrap();
            let name = at.strip_prefix(directory).unwrap().display().to_string();
            let links = if meta.is_file() { meta.nlink() } else { 0 };
            let mode = meta.mode();
            lines.push(format!("{name} {mode:o} {links} {}", meta.mtime()));
            if meta.is_dir() {
                pending.extend(
                    std::fs::read_dir(&at)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            }
        }
        lines.sort();
        lines
    }

    /// T-MNT-11
    #[test]
    fn a_part_of_a_tree_is_written_with_modes_times_and_the_links_within() {
        let work = tempfile::tempdir().unwrap();
        let contents = Contents::new(work.path()).unwrap();
        let cancel = Cancel::new(Cancel::DEFAULT_GRACE).unwrap();
        let write = |from: &str| {
            let files = Files::below(&tree(), &path(from), true);
            files.write(work.path(), &contents, &cancel).unwrap()
        };
        let expected = [" 40711 0 5", "f 100604 2 5", "g 100604 2 5", "l 120777 0 5"];
        assert_eq!(listed(&write("/d")), expected);
        let lone = write("/e");
        assert_eq!(std::fs::read(&lone).unwrap(), b"other");
        assert_eq!(listed(&lone), [" 100644 1 5"]);
    }

    /// T-MNT-02
    #[test]
    fn a_copied_directory_is_the_same_directory() {
        let work = tempfile::tempdir().unwrap();
        let contents = Contents::new(work.path()).unwrap();
        let cancel = Cancel::new(Cancel::DEFAULT_GRACE).unwrap();
        let files = Files::below(&tree(), &path("/d"), true);
        let first = files.write(work.path(), &contents, &cancel).unwrap();
        let second = new_directory(work.path()).unwrap();
        copy_directory(&first, &second, &cancel).unwrap();
        assert_eq!(listed(&second), listed(&first));
        assert_eq!(std::fs::read(second.join("g")).unwrap(), b"content");
    }
}
