//! Puts what the sources mean onto the target.

use kigumi_dockerfile::ignore::Patterns;
use kigumi_layer::{
    Change, Entry, FileContent, ImagePath, Metadata, Mode, Timestamp, Tree, Xattrs,
};

use super::selection::{Selected, clean, has_wildcard, select, source_tree};
use super::subtree::{Include, Subtree};
use super::{ArchiveKey, Archives, CopyError, CopyItem, CopySpec, Owner};
use crate::target::{NewDirectory, Shape, Target};

/// The state of one COPY or ADD.
#[derive(Debug)]
pub(super) struct Placing<'a> {
    pub(super) target: Target<'a>,
    pub(super) spec: &'a CopySpec,
    pub(super) exclude: Patterns,
}

/// A file to put, whatever it came from.
struct Leaf<'n> {
    /// Its name in a destination directory.
    name: &'n [u8],
    entry: Entry,
    metadata: Metadata,
}

impl<'a> Placing<'a> {
    pub(super) fn new(tree: &'a Tree, spec: &'a CopySpec) -> Result<Self, CopyError> {
        let exclude = Patterns::new(spec.exclude.iter().map(String::as_str))
            .map_err(|source| CopyError::Exclude { source })?;
        Ok(Self {
            target: Target::new(tree),
            spec,
            exclude,
        })
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        self.target.changes()
    }

    pub(super) fn item(
        &mut self,
        index: usize,
        item: &CopyItem,
        sources: &[&Tree],
        archives: &Archives,
    ) -> Result<(), CopyError> {
        let key = |path| ArchiveKey { item: index, path };
        match item {
            CopyItem::Path {
                source, pattern, ..
            } => {
                let tree = source_tree(sources, *source, pattern)?;
                if self.spec.parents {
                    return self.with_parents(tree, pattern);
                }
                for selected in select(tree, pattern)? {
                    match archives.get(&key(selected.real.clone())) {
                        Some(archive) => self.unpack(archive, pattern)?,
                        None => self.copy(tree, &selected, pattern, None)?,
                    }
                }
                Ok(())
            }
            CopyItem::Inline { name, content } => {
                let content = FileContent::inline(content);
                self.file(name, content, Mode::FILE, self.spec.now)
            }
            CopyItem::File {
                name,
                content,
                mode,
                mtime,
                ..
            } => match archives.get(&key(ImagePath::root())) {
                Some(archive) => self.unpack(archive, &String::from_utf8_lossy(name)),
                None => self.file(name, content.clone(), *mode, *mtime),
            },
        }
    }

    fn file(
        &mut self,
        name: &[u8],
        content: FileContent,
        mode: Mode,
        mtime: Timestamp,
    ) -> Result<(), CopyError> {
        let metadata = Metadata {
            mode,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: Xattrs::default(),
        };
        let leaf = Leaf {
            name,
            metadata: self.metadata(&metadata, &Entry::File(content.clone())),
            entry: Entry::File(content),
        };
        let at = self.prepare_destination()?;
        self.leaf(leaf, at, &String::from_utf8_lossy(name))?;
        Ok(())
    }

    /// `--parents`: the path is kept from the pivot on (T-COPY-20).
    fn with_parents(&mut self, tree: &Tree, written: &str) -> Result<(), CopyError> {
        let (pivot, pattern) = written.split_once("/./").unwrap_or(("/", written));
        let pattern = clean(pattern, written)?;
        let text = String::from_utf8_lossy(pattern.as_relative()).into_owned();
        let include = if text.is_empty() {
            None
        } else {
            Some(Include::new(&text, written)?)
        };
        for selected in select(tree, pivot).map_err(|error| error.written_as(written))? {
            let path = selected.real.join_path(&pattern);
            if !has_wildcard(text.as_bytes()) && tree.lookup(&path).is_none() {
                return Err(CopyError::SourceNotFound {
                    written: written.to_owned(),
                    path,
                });
            }
            self.copy(tree, &selected, written, include.as_ref())?;
        }
        Ok(())
    }

    /// One path of a source, with everything below it. Hard links are kept within it, not beyond.
    fn copy(
        &mut self,
        tree: &Tree,
        selected: &Selected,
        written: &str,
        include: Option<&Include>,
    ) -> Result<(), CopyError> {
        let at = self.prepare_destination()?;
        let node = tree.node(selected.node);
        if !node.is_directory() {
            let entry = Entry::of(&node.kind);
            let leaf = Leaf {
                name: selected.found.file_name().unwrap_or_default(),
                metadata: self.metadata(&node.metadata, &entry),
                entry,
            };
            return self.leaf(leaf, at, written).map(drop);
        }
        match self.target.seen(&at).map(|seen| seen.shape) {
            Some(Shape::Directory) => {}
            None => self.make_directories(&at, Mode::DIRECTORY)?,
            Some(Shape::Symlink(_) | Shape::Other) => {
                return Err(CopyError::DirectoryOntoFile {
                    written: written.to_owned(),
                    at,
                });
            }
        }
        Subtree::new(self, tree, written, include).copy(selected.node, &at)?;
        if include.is_none() {
            // COMPAT(buildkit): the time is the only thing that a destination directory takes over (dockerfile.md § 15, point 10).
            self.target.touch_directory(&at, node.metadata.mtime);
        }
        Ok(())
    }

    /// Makes the directories that the destination implies and follows its links.
    fn prepare_destination(&mut self) -> Result<ImagePath, CopyError> {
        let destination = &self.spec.destination;
        let implied = if destination.is_directory {
            Some(destination.path.clone())
        } else {
            destination.path.parent()
        };
        if let Some(directory) = implied {
            let mode = self
                .spec
                .chmod
                .as_ref()
                .map_or(Mode::DIRECTORY, crate::Chmod::implied_directory);
            let directory = self.follow(&directory)?;
            self.make_directories(&directory, mode)?;
        }
        self.follow(&destination.path)
    }

    pub(super) fn follow(&self, path: &ImagePath) -> Result<ImagePath, CopyError> {
        self.target
            .follow(path)
            .map_err(|fault| fault.of_destination(&self.spec.destination.written))
    }

    pub(super) fn make_directories(
        &mut self,
        path: &ImagePath,
        mode: Mode,
    ) -> Result<(), CopyError> {
        let (uid, gid) = match self.spec.owner {
            Owner::Given { uid, gid } | Owner::Assumed { uid, gid } => (uid, gid),
            Owner::Kept => (0, 0),
        };
        let new = NewDirectory {
            mode,
            uid,
            gid,
            now: self.spec.now,
        };
        self.target
            .make_directories(path, new)
            .map_err(|fault| fault.of_destination(&self.spec.destination.written))
    }

    /// A file at the destination `at`: in it if it is a directory, else instead of it.
    fn leaf(
        &mut self,
        leaf: Leaf<'_>,
        mut at: ImagePath,
        written: &str,
    ) -> Result<usize, CopyError> {
        if let Some(Shape::Directory) = self.target.seen(&at).map(|seen| seen.shape) {
            at = at.join(leaf.name);
        }
        // A destination that is a dangling link may lead where no directory is yet.
        self.make_directories(&at.parent().unwrap_or_default(), Mode::DIRECTORY)?;
        self.put_leaf(&at, leaf.entry, leaf.metadata, written)
    }

    pub(super) fn put_leaf(
        &mut self,
        at: &ImagePath,
        entry: Entry,
        metadata: Metadata,
        written: &str,
    ) -> Result<usize, CopyError> {
        if let Some(Shape::Directory) = self.target.seen(at).map(|seen| seen.shape) {
            return Err(CopyError::FileOntoDirectory {
                written: written.to_owned(),
                at: at.clone(),
            });
        }
        Ok(self.target.put(at, entry, metadata))
    }

    /// What becomes of the metadata of a source.
    pub(super) fn metadata(&self, source: &Metadata, entry: &Entry) -> Metadata {
        let (uid, gid) = match self.spec.owner {
            Owner::Given { uid, gid } | Owner::Assumed { uid, gid } => (uid, gid),
            Owner::Kept => (source.uid, source.gid),
        };
        let mode = match (entry, &self.spec.chmod) {
            (Entry::Symlink(_), _) => Mode::SYMLINK,
            (entry, Some(chmod)) => chmod.apply(source.mode, *entry == Entry::Directory),
            (_, None) => source.mode,
        };
        Metadata {
            mode,
            uid,
            gid,
            mtime: source.mtime,
            xattrs: copied_xattrs(&source.xattrs),
        }
    }
}

/// What an image gets of the attributes of a file that is copied.
///
/// COMPAT(buildkit): the capabilities and no other. What a RUN sets is not meant here (T-SNAP-19).
#[must_use]
pub fn copied_xattrs(source: &Xattrs) -> Xattrs {
    let mut copied = Xattrs::default();
    for (name, value) in source
        .iter()
        .filter(|(name, _)| *name == b"security.capability")
    {
        copied.insert(name, value);
    }
    copied
}
