//! From the plan's COPY, ADD and WORKDIR to the copy engine's, and what it answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use kigumi_context::{
    Archives, Chmod, CopyError, CopyItem, CopySpec, Destination, Owner, archive_candidates,
    copy_changes, make_dir_changes,
};
use kigumi_layer::{Change, FileContent, ImagePath, Origin, PathError, Timestamp, Tree};
use kigumi_plan::{self as plan, CopyOp, MakeDirOp, Source, Unpack};
use kigumi_rootfs::Virtuals;

use super::contents::Contents;
use crate::error::BuildError;

/// The stage as it is, and where the files come from.
pub(crate) struct Sources<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) source: &'a Tree,
    /// Those of git repositories, in the order in which they are named.
    pub(crate) git: &'a [Arc<Tree>],
}

fn path_error(written: &str) -> impl Fn(PathError) -> BuildError {
    let message = format!("path `{written}`");
    move |source| BuildError::Copy {
        message: message.clone(),
        source: Some(Box::new(source)),
    }
}

fn copy_error(error: CopyError) -> BuildError {
    BuildError::CopyEngine(Box::new(error))
}

/// What the copy engine is asked: `copy` with an item for each of its sources.
pub(crate) fn spec(
    copy: &CopyOp,
    items: Vec<CopyItem>,
    owner: Owner,
    now: Timestamp,
) -> Result<CopySpec, BuildError> {
    let chmod = match &copy.chmod {
        None => None,
        Some(plan::Chmod::Octal(bits)) => Some(Chmod::parse(&format!("{bits:o}"))),
        Some(plan::Chmod::Symbolic(text)) => Some(Chmod::parse(text)),
    };
    let chmod = chmod.transpose().map_err(|source| BuildError::Copy {
        message: "--chmod".to_owned(),
        source: Some(Box::new(source)),
    })?;
    Ok(CopySpec {
        items,
        destination: Destination {
            path: ImagePath::clamp(copy.destination.as_bytes())
                .map_err(path_error(&copy.destination))?,
            is_directory: copy.destination_is_directory,
            written: copy.destination.clone(),
        },
        owner,
        chmod,
        parents: copy.parents,
        exclude: copy.exclude.clone(),
        link: copy.link,
        now,
    })
}

/// The item of a source that does not lie elsewhere.
pub(crate) fn item(source: &Source, unpack: Unpack) -> Result<CopyItem, BuildError> {
    match source {
        Source::Path(pattern) => Ok(CopyItem::Path {
            source: 0,
            pattern: pattern.clone(),
            unpack: unpack != Unpack::Never,
        }),
        Source::Inline { name, content } => Ok(CopyItem::Inline {
            name: name.clone().into_bytes(),
            content: content.as_bytes().into(),
        }),
        Source::Url(_) | Source::Git(_) => Err(BuildError::Copy {
            message: "a source that lies elsewhere is not supported yet".to_owned(),
            source: None,
        }),
    }
}

/// What a COPY or ADD does; archives among the sources of an ADD are read on the way.
pub(crate) fn changes(
    spec: &CopySpec,
    sources: &Sources<'_>,
    contents: &mut Contents,
) -> Result<Vec<Change>, BuildError> {
    let git = sources.git.iter().map(Arc::as_ref);
    let trees: Vec<&Tree> = [sources.source].into_iter().chain(git).collect();
    let mut archives = Archives::none();
    for candidate in archive_candidates(spec, &trees).map_err(copy_error)? {
        if let Some(archive) = super::archives::read(&candidate, contents)? {
            archives.insert(candidate.key, archive);
        }
    }
    copy_changes(sources.tree, spec, &trees, &archives).map_err(copy_error)
}

/// What a WORKDIR does.
pub(crate) fn make_dir(
    tree: &Tree,
    op: &MakeDirOp,
    owner: (u32, u32),
    now: Timestamp,
) -> Result<Vec<Change>, BuildError> {
    let path = ImagePath::clamp(op.path.as_bytes()).map_err(path_error(&op.path))?;
    make_dir_changes(tree, &path, owner, now).map_err(copy_error)
}

/// Says of every file in `tree` whose bytes are on the disk that they will be in `store`, under the first name that the disk has. What is not
/// on the disk, because a mount is in its place, stays where it is.
pub(crate) fn store_all(tree: &mut Tree, virtuals: &Virtuals, store: u32) {
    let is_live = |id| {
        let content: Option<&FileContent> = tree.node(id).file();
        content.is_some_and(|content| content.origin == Origin::Live)
    };
    let mut seen = BTreeSet::new();
    let files: Vec<_> = tree
        .walk()
        .filter(|(path, id)| is_live(*id) && !virtuals.is_absent(path) && seen.insert(*id))
        .collect();
    for (path, id) in files {
        if let Some(content) = tree.node_mut(id).file_mut() {
            content.origin = Origin::Stored {
                store,
                path: path.as_relative().into(),
            };
        }
    }
}

/// The root, for those to whom it does not matter where files go.
pub(crate) fn anywhere() -> Destination {
    Destination {
        path: ImagePath::root(),
        is_directory: true,
        written: "/".to_owned(),
    }
}

/// Which files of `store` a later COPY from `tree` needs.
pub(crate) fn wanted(
    copy: &CopyOp,
    tree: &Tree,
    store: u32,
    now: Timestamp,
) -> Result<BTreeSet<ImagePath>, BuildError> {
    // Into an empty root: what is selected does not depend on where it goes.
    let items = copy.sources.iter().map(|source| item(source, copy.unpack));
    let mut spec = spec(copy, items.collect::<Result<_, _>>()?, Owner::Kept, now)?;
    spec.destination = anywhere();
    let changes =
        copy_changes(&Tree::new(), &spec, &[tree], &Archives::none()).map_err(copy_error)?;
    let stored = changes
        .iter()
        .filter_map(Change::file)
        .filter_map(|content| {
            if let Origin::Stored { store: of, path } = &content.origin
                && *of == store
            {
                return ImagePath::parse(path).ok();
            }
            None
        });
    Ok(stored.collect())
}
