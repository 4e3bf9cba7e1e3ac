use std::collections::VecDeque;

use super::ROOT;
use crate::{Error, ImagePath, Kind, NodeId, Tree};

/// As many links as Linux follows (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// Whether a link in the last component is followed. Links on the way always are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follow {
    /// Give the link itself.
    Parents,
    /// Give what the link leads to.
    All,
}

/// Where a path leads to when links are followed inside the root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The path without links on the way. What does not exist is appended as it was asked for.
    pub path: ImagePath,
    /// What is there.
    pub node: Option<NodeId>,
}

impl Tree {
    /// Follows links as a process with this root would: absolute targets start at the root, `..` stops there.
    ///
    /// # Errors
    /// [`Error::SymlinkLoop`] after forty links, [`Error::NotADirectory`] when a file is used as a directory.
    pub fn resolve(&self, path: &ImagePath, follow: Follow) -> Result<Resolved, Error> {
        match self.resolve_without_links(path, follow) {
            Some(resolved) => Ok(resolved),
            None => self.resolve_with_links(path, follow),
        }
    }

    /// What [`Tree::resolve`] gives when there is no link and no file on the way, as for nearly all entries of a layer.
    fn resolve_without_links(&self, path: &ImagePath, follow: Follow) -> Option<Resolved> {
        let mut node = Some(ROOT);
        for name in path.components() {
            if let Some(here) = node {
                if !self.node(here).is_directory() {
                    return None;
                }
                node = self.child(here, name);
            }
        }
        let is_link = |id| matches!(self.node(id).kind, Kind::Symlink(_));
        if follow == Follow::All && node.is_some_and(is_link) {
            return None;
        }
        Some(Resolved {
            path: path.clone(),
            node,
        })
    }

    fn resolve_with_links(&self, path: &ImagePath, follow: Follow) -> Result<Resolved, Error> {
        let mut todo: VecDeque<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
        // Directories from the root to where we stand; `None` from the first that does not exist.
        let mut stack: Vec<(Vec<u8>, Option<NodeId>)> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    stack.pop();
                    continue;
                }
                _ => {}
            }
            let here = stack.last().map_or(Some(ROOT), |(_, id)| *id);
            if let Some(id) = here
                && !self.node(id).is_directory()
            {
                return Err(Error::NotADirectory {
                    path: path.clone(),
                    at: joined(&stack),
                });
            }
            let child = here.and_then(|directory| self.child(directory, &name));
            let follows = follow == Follow::All || !todo.is_empty();
            if let Some(id) = child
                && let Kind::Symlink(target) = &self.node(id).kind
                && follows
            {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::SymlinkLoop { path: path.clone() });
                }
                if target.first() == Some(&b'/') {
                    stack.clear();
                }
                for component in target.split(|byte| *byte == b'/').rev() {
                    todo.push_front(component.to_vec());
                }
                continue;
            }
            stack.push((name, child));
        }
        let node = stack.last().map_or(Some(ROOT), |(_, id)| *id);
        Ok(Resolved {
            path: joined(&stack),
            node,
        })
    }
}

fn joined(stack: &[(Vec<u8>, Option<NodeId>)]) -> ImagePath {
    ImagePath::from_components(stack.iter().map(|(name, _)| name.as_slice()))
}
