//! The part of a tree that a reference or a flag names.

use std::collections::HashMap;

use kigumi_layer::{Change, Entry, ImagePath, Kind, NodeId, Tree};

/// A subdirectory as written. `..` may not lead out of the tree, and neither may links on the way.
pub(super) fn clean(written: &str) -> Result<ImagePath, &'static str> {
    let mut depth = 0_usize;
    for component in written.split('/') {
        match component {
            "" | "." => {}
            ".." => depth = depth.checked_sub(1).ok_or(OUTSIDE)?,
            _ => depth += 1,
        }
    }
    ImagePath::clamp(written.as_bytes()).map_err(|_| "it is no path")
}

const OUTSIDE: &str = "it leads outside";
const MISSING: &str = "it is not there";

/// How many links are followed; Linux follows as many.
const LINKS: usize = 40;

/// Where a path leads when links are followed, in components below the root.
pub(super) fn locate(tree: &Tree, path: &ImagePath) -> Result<ImagePath, &'static str> {
    let mut todo: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
    let mut at: Vec<NodeId> = vec![tree.root()];
    let mut real = ImagePath::root();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == b".." {
            at.pop();
            real = real.parent().ok_or(OUTSIDE)?;
            continue;
        }
        let here = at.last().copied().ok_or(OUTSIDE)?;
        let child = tree.child(here, &name).ok_or(MISSING)?;
        match &tree.node(child).kind {
            Kind::Directory(_) => {
                at.push(child);
                real = real.join(&name);
            }
            Kind::Symlink(target) => {
                links += 1;
                if links > LINKS {
                    return Err("its links lead in a circle");
                }
                if target.starts_with(b"/") {
                    return Err(OUTSIDE);
                }
                let components = target.split(|byte| *byte == b'/');
                let components = components.filter(|name| !matches!(*name, b"" | b"."));
                todo.extend(components.rev().map(<[u8]>::to_vec).collect::<Vec<_>>());
            }
            Kind::File(_) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {
                return Err("it is not a directory");
            }
        }
    }
    Ok(real)
}

/// Whether a path leads to something other than itself: then more has to be checked out than lies at it.
#[cfg_attr(
    not(feature = "git"),
    expect(dead_code, reason = "only a checkout is partial")
)]
pub(super) fn has_links(tree: &Tree, path: &ImagePath) -> bool {
    let mut at = tree.root();
    for name in path.components() {
        match tree.child(at, name) {
            Some(child) if tree.node(child).is_directory() => at = child,
            Some(child) => return matches!(tree.node(child).kind, Kind::Symlink(_)),
            None => return false,
        }
    }
    false
}

/// What lies below a directory, as seen from there.
pub(super) fn below(tree: &Tree, directory: &ImagePath) -> Result<Tree, kigumi_layer::Error> {
    let mut found = Tree::new();
    let mut names: HashMap<NodeId, ImagePath> = HashMap::new();
    for (path, id) in tree.walk_below(directory) {
        let Some(path) = path.strip_prefix(directory).filter(|path| !path.is_root()) else {
            continue;
        };
        found.apply(copied(tree, id, path, &mut names))?;
    }
    Ok(found)
}

/// The change that puts a node into another tree: under its second name as a link to the first.
pub(super) fn copied(
    tree: &Tree,
    id: NodeId,
    path: ImagePath,
    names: &mut HashMap<NodeId, ImagePath>,
) -> Change {
    let node = tree.node(id);
    if tree.links(id) > 1
        && let Some(target) = names.get(&id)
    {
        return Change::Link {
            path,
            target: target.clone(),
        };
    }
    if tree.links(id) > 1 && !node.is_directory() {
        names.insert(id, path.clone());
    }
    Change::Put {
        path,
        entry: Entry::of(&node.kind),
        metadata: node.metadata.clone(),
    }
}

#[cfg(test)]
mod tests {
    use kigumi_layer::notation;

    use super::*;

    /// hostile-inputs.md § 4 (GHSA-4vrq-3vrq-g6gg)
    #[test]
    fn a_subdirectory_lies_in_the_checkout_whatever_leads_to_it() {
        let tree = notation::parse_tree(
            "d 0755 0:0 /a\nd 0755 0:0 /a/b\nf 0644 0:0 /a/f \"\"\nl 0:0 /in -> a/b\nl 0:0 /a/up -> ../a\n\
            l 0:0 /out -> ../x\nl 0:0 /abs -> /a\nl 0:0 /loop -> loop\nl 0:0 /a/deep -> ../../a\nl 0:0 /gone -> nowhere\n",
        )
        .unwrap();
        for (written, expected) in [
            ("", Ok("/")),
            (".", Ok("/")),
            ("/a", Ok("/a")),
            ("a//b/", Ok("/a/b")),
            ("a/../a/b", Ok("/a/b")),
            ("in", Ok("/a/b")),
            ("a/up/b", Ok("/a/b")),
            ("..", Err(OUTSIDE)),
            ("../..", Err(OUTSIDE)),
            ("a/../../a", Err(OUTSIDE)),
            ("out", Err(OUTSIDE)),
            ("abs", Err(OUTSIDE)),
            ("a/deep", Err(OUTSIDE)),
            ("nodir", Err(MISSING)),
            ("gone", Err(MISSING)),
            ("a/f", Err("it is not a directory")),
            ("a/f/x", Err("it is not a directory")),
            ("loop", Err("its links lead in a circle")),
        ] {
            let found = clean(written).and_then(|path| locate(&tree, &path));
            let found =
                found.map(|path| format!("/{}", String::from_utf8_lossy(path.as_relative())));
            assert_eq!(found, expected.map(str::to_owned), "{written}");
        }
    }
}
