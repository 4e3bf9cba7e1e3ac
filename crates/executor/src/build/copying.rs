//! From the plan's COPY, ADD and WORKDIR to the copy engine's, and what it answers.

use std::collections::BTreeSet;

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

/// What the copy engine is asked.
pub(crate) fn spec(copy: &CopyOp, owner: Owner, now: Timestamp) -> Result<CopySpec, BuildError> {
    let unpack = copy.unpack != Unpack::Never;
    let items = copy
        .sources
        .iter()
        .map(|source| item(source, unpack))
        .collect::<Result<_, _>>()?;
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

fn item(source: &Source, unpack: bool) -> Result<CopyItem, BuildError> {
    match source {
        Source::Path(pattern) => Ok(CopyItem::Path {
            source: 0,
            pattern: pattern.clone(),
            unpack,
        }),
        Source::Inline { name, content } => Ok(CopyItem::Inline {
            name: name.clone().into_bytes(),
            content: content.as_bytes().into(),
        }),
        // The planner has refused these with their line.
        Source::Url(url) | Source::Git(url) => Err(BuildError::Copy {
            message: format!(
                "source `{url}`: ADD of URLs and git repositories is not implemented yet"
            ),
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
    let trees = [sources.source];
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

/// Which files of `store` a later COPY from `tree` needs.
pub(crate) fn wanted(
    copy: &CopyOp,
    tree: &Tree,
    store: u32,
    now: Timestamp,
) -> Result<BTreeSet<ImagePath>, BuildError> {
    // Into an empty root: what is selected does not depend on where it goes.
    let mut spec = spec(copy, Owner::Kept, now)?;
    spec.destination = Destination {
        path: ImagePath::root(),
        is_directory: true,
        written: "/".to_owned(),
    };
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
