//! The files of named contexts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kigumi_context::{
    Archives, CopyItem, CopySpec, Destination, Owner, archive_candidates, context_tree,
    copied_xattrs, copy_changes, read_ignore_file,
};
use kigumi_layer::{ImagePath, Metadata, Mode, NodeId, Timestamp, Tree, diff};
use kigumi_rootfs::RootDir;

use super::contents::Contents;
use super::downloads::Download;
use super::git;
use super::layers::{FileDigests, NewLayer, Wanted};
use super::stage::Stages;
use crate::cli::{ContextFlag, ContextPlace};
use crate::error::BuildError;

/// What a file behind HTTP is called that is no archive. COMPAT(buildkit)
const FILE: &[u8] = b"context";

/// What was read of named contexts so far.
#[derive(Debug)]
pub(crate) struct NamedContexts<'a> {
    flags: &'a [ContextFlag],
    trees: BTreeMap<String, Arc<Tree>>,
}

impl<'a> NamedContexts<'a> {
    pub(crate) fn new(flags: &'a [ContextFlag]) -> Self {
        Self {
            flags,
            trees: BTreeMap::new(),
        }
    }

    fn place(&self, name: &str) -> Option<&'a ContextPlace> {
        let mut flags = self.flags.iter();
        flags
            .rfind(|flag| flag.context.name() == name)
            .map(|flag| &flag.place)
    }
}

impl Stages<'_> {
    /// The files of a named context, each knowing where its bytes are. Read once.
    pub(super) fn named_tree(&mut self, name: &str) -> Result<Arc<Tree>, BuildError> {
        if let Some(tree) = self.contexts.trees.get(name) {
            return Ok(Arc::clone(tree));
        }
        let tree = match self.contexts.place(name) {
            Some(ContextPlace::Directory(path)) => Arc::new(directory(path, &mut self.contents)?),
            Some(ContextPlace::Url(url)) => Arc::new(self.web_tree(url)?),
            Some(ContextPlace::Git(text)) => self.git_tree(&git::reference(text)?)?,
            Some(ContextPlace::Registry | ContextPlace::Layout { .. }) | None => {
                return Err(BuildError::Copy {
                    message: format!(
                        "context `{name}` has no files; this is a defect of kigumi, please report it"
                    ),
                    source: None,
                });
            }
        };
        self.contexts
            .trees
            .insert(name.to_owned(), Arc::clone(&tree));
        Ok(tree)
    }

    /// The layer of a stage on the files of a context: all of them.
    pub(super) fn context_layer(
        &mut self,
        name: &str,
        wanted: Wanted,
    ) -> Result<NewLayer, BuildError> {
        let tree = self.named_tree(name)?;
        let mut changes = diff(&Tree::new(), &tree);
        // The root has its place in the tree and none in a layer (T-COPY-18).
        changes.retain(|change| !change.path().is_root());
        let contents = &self.contents;
        self.factory.write(
            (wanted, FileDigests::Unwanted),
            false,
            &changes,
            &|path, content| contents.open(path, content),
        )
    }

    /// An archive unpacked, as ADD would; any other file as the only one.
    fn web_tree(&mut self, url: &str) -> Result<Tree, BuildError> {
        let secrets = &self.entrusted.secrets;
        let (workshop, contents) = (self.workshop, &mut self.contents);
        let file = self.downloads.get(url, None, secrets, workshop, contents)?;
        let spec = unpacking(file, self.now);
        let nothing = Tree::new();
        let mut archives = Archives::none();
        let failed = |error| BuildError::CopyEngine(Box::new(error));
        for candidate in archive_candidates(&spec, &[&nothing]).map_err(failed)? {
            if let Some(archive) = super::archives::read(&candidate, &mut self.contents)? {
                archives.insert(candidate.key, archive);
            }
        }
        let changes = copy_changes(&nothing, &spec, &[&nothing], &archives).map_err(failed)?;
        let mut tree = Tree::new();
        tree.apply_layer(changes)
            .map_err(|source| BuildError::Layer {
                operation: "unpack a context".to_owned(),
                source,
            })?;
        Ok(tree)
    }
}

/// What the copy engine is asked: the file into an empty root.
fn unpacking(file: Download, now: Timestamp) -> CopySpec {
    CopySpec {
        items: vec![CopyItem::File {
            name: FILE.to_vec(),
            content: file.content,
            mode: Mode::new(0o600),
            mtime: file.mtime,
            unpack: true,
        }],
        destination: Destination {
            path: ImagePath::root(),
            is_directory: true,
            written: "/".to_owned(),
        },
        owner: Owner::ROOT,
        chmod: None,
        parents: false,
        exclude: Vec::new(),
        link: false,
        now,
    }
}

/// A directory as its own ignore file leaves it. Everything belongs to root: who has a checkout on this machine says nothing.
fn directory(path: &Path, contents: &mut Contents) -> Result<Tree, BuildError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| BuildError::Context {
        path: path.to_owned(),
        source,
    };
    let ignored =
        read_ignore_file(&[path.join(".dockerignore")]).map_err(|error| failed(error.into()))?;
    let directory = Arc::new(RootDir::open(path).map_err(|error| failed(error.into()))?);
    let store = contents.add_store(Arc::clone(&directory));
    let mut tree =
        context_tree(&directory, &ignored, store).map_err(|error| failed(error.into()))?;
    let nodes: Vec<NodeId> = tree.walk().map(|(_, id)| id).collect();
    for id in nodes {
        let metadata = &mut tree.node_mut(id).metadata;
        *metadata = anonymous(metadata);
    }
    Ok(tree)
}

fn anonymous(metadata: &Metadata) -> Metadata {
    Metadata {
        uid: 0,
        gid: 0,
        xattrs: copied_xattrs(&metadata.xattrs),
        ..metadata.clone()
    }
}
