//! Which nodes of a source tree a source means.

use kigumi_dockerfile::glob::Glob;
use kigumi_layer::{Error as TreeError, FileContent, Follow, ImagePath, NodeId, Tree};

use super::{ArchiveKey, CopyError, CopyItem, CopySpec};

/// One path that a source means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Selected {
    /// The path by which it was found: its last component names the copy.
    pub(super) found: ImagePath,
    /// Where that leads when links are followed.
    pub(super) real: ImagePath,
    /// What is there.
    pub(super) node: NodeId,
}

/// A file that an ADD has to look into before it can be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// How [`Archives`](super::Archives) names it.
    pub key: ArchiveKey,
    /// The source as written, for messages.
    pub written: String,
    /// The file, and where its bytes are.
    pub content: FileContent,
}

/// The files that an ADD may have to unpack, in order. A file inside a directory that is added is never among them.
///
/// # Errors
/// [`CopyError`] when a source is missing or malformed.
pub fn archive_candidates(spec: &CopySpec, sources: &[&Tree]) -> Result<Vec<Candidate>, CopyError> {
    let mut candidates = Vec::new();
    for (item, source) in spec.items.iter().enumerate() {
        match source {
            CopyItem::Path {
                source,
                pattern,
                unpack: true,
            } => {
                let tree = source_tree(sources, *source, pattern)?;
                for selected in select(tree, pattern)? {
                    candidates.extend(tree.node(selected.node).file().map(|content| Candidate {
                        key: ArchiveKey {
                            item,
                            path: selected.real,
                        },
                        written: pattern.clone(),
                        content: content.clone(),
                    }));
                }
            }
            CopyItem::File {
                name,
                content,
                unpack: true,
                ..
            } => candidates.push(Candidate {
                key: ArchiveKey {
                    item,
                    path: ImagePath::root(),
                },
                written: String::from_utf8_lossy(name).into_owned(),
                content: content.clone(),
            }),
            CopyItem::Path { .. } | CopyItem::File { .. } | CopyItem::Inline { .. } => {}
        }
    }
    Ok(candidates)
}

/// What a path of a COPY or ADD leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectedName {
    /// What a copy of it is called in a directory.
    pub name: Box<[u8]>,
    /// Whether it is one itself: then its entries are copied.
    pub is_directory: bool,
}

/// What the paths of a COPY or ADD lead to, in order. Together with the changes that the instruction makes in an empty directory, that is all of the
/// sources that decides what it does anywhere.
///
/// # Errors
/// [`CopyError`] when a source is missing or malformed.
pub fn selected_names(spec: &CopySpec, sources: &[&Tree]) -> Result<Vec<SelectedName>, CopyError> {
    let mut names = Vec::new();
    for item in &spec.items {
        let CopyItem::Path {
            source, pattern, ..
        } = item
        else {
            continue;
        };
        // With `--parents` the whole path is kept.
        if spec.parents {
            continue;
        }
        let tree = source_tree(sources, *source, pattern)?;
        for selected in select(tree, pattern)? {
            names.push(SelectedName {
                name: selected.found.file_name().unwrap_or_default().into(),
                is_directory: tree.node(selected.node).is_directory(),
            });
        }
    }
    Ok(names)
}

pub(super) fn source_tree<'t>(
    sources: &[&'t Tree],
    index: usize,
    written: &str,
) -> Result<&'t Tree, CopyError> {
    sources
        .get(index)
        .copied()
        .ok_or_else(|| CopyError::NoSuchTree {
            written: written.to_owned(),
            index,
        })
}

/// What a source means, in the order in which it is copied; empty for a pattern that nothing matches.
pub(super) fn select(tree: &Tree, written: &str) -> Result<Vec<Selected>, CopyError> {
    let path = clean(written, written)?;
    let (plain, pattern) = split_at_wildcard(&path);
    if pattern.is_empty() {
        return Ok(vec![locate(tree, plain, written)?]);
    }
    let pattern = Glob::new(&pattern.join("/")).map_err(|source| CopyError::SourcePattern {
        written: written.to_owned(),
        source,
    })?;
    let below = locate(tree, plain, written)?;
    matches(tree, &below, &pattern)
        .into_iter()
        .map(|found| locate(tree, found, written))
        .collect()
}

/// Where a path leads. What lies below a file is not there, so that is no error of its own.
fn locate(tree: &Tree, path: ImagePath, written: &str) -> Result<Selected, CopyError> {
    let missing = |path: ImagePath| CopyError::SourceNotFound {
        written: written.to_owned(),
        path,
    };
    match tree.resolve(&path, Follow::All) {
        Ok(resolved) => match resolved.node {
            Some(node) => Ok(Selected {
                found: path,
                real: resolved.path,
                node,
            }),
            None => Err(missing(path)),
        },
        Err(TreeError::NotADirectory { .. }) => Err(missing(path)),
        Err(source) => Err(CopyError::Source {
            written: written.to_owned(),
            source,
        }),
    }
}

/// The paths below a directory that match, parents first. A directory that matches is taken whole, so nothing is looked for in it; links
/// are not followed on the way.
fn matches(tree: &Tree, below: &Selected, pattern: &Glob) -> Vec<ImagePath> {
    // `*` and `?` stay within a component, so deeper paths cannot match, unless a negated class takes the slash.
    let depth = if pattern.as_str().contains("[^") {
        usize::MAX
    } else {
        pattern.as_str().split('/').count()
    };
    let mut found = Vec::new();
    let mut todo = vec![(ImagePath::root(), below.node, 0)];
    while let Some((path, node, level)) = todo.pop() {
        if level > 0 && pattern.matches(path.as_relative()) {
            found.push(below.real.join_path(&path));
            continue;
        }
        if level < depth {
            let first = todo.len();
            todo.extend(
                tree.children(node)
                    .map(|(name, child)| (path.join(name), child, level + 1)),
            );
            if let Some(children) = todo.get_mut(first..) {
                children.reverse();
            }
        }
    }
    found
}

/// The components of a path as the user wrote it, `..` stopping at the root (T-COPY-12).
pub(super) fn clean(path: &str, written: &str) -> Result<ImagePath, CopyError> {
    ImagePath::clamp(path.as_bytes()).map_err(|source| CopyError::Path {
        written: written.to_owned(),
        source,
    })
}

/// The components in front of the first one with a wildcard, and the rest.
fn split_at_wildcard(path: &ImagePath) -> (ImagePath, Vec<String>) {
    let components: Vec<&[u8]> = path.components().collect();
    let first = components
        .iter()
        .position(|component| has_wildcard(component))
        .unwrap_or(components.len());
    let (plain, pattern) = components.split_at_checked(first).unwrap_or_default();
    let plain = plain
        .iter()
        .fold(ImagePath::root(), |path, component| path.join(component));
    let pattern = pattern
        .iter()
        .map(|component| String::from_utf8_lossy(component).into_owned())
        .collect();
    (plain, pattern)
}

/// COMPAT(buildkit): a path whose only special characters are escaped is no pattern, and its backslashes are part of the name.
pub(super) fn has_wildcard(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}
