use super::diff;
use crate::{Change, Entry, Tree};

/// The changes that make exactly `wanted` of `now`, on a disk as well: as [`diff`], and the metadata of the root and the times of directories, which
/// no layer brings back but whoever looks at the disk sees.
///
/// Directories that differ in nothing else come last. Whoever applies the changes to a disk sets the times of directories after everything else anyway.
pub fn undo(now: &Tree, wanted: &Tree) -> Vec<Change> {
    let mut changes = diff(now, wanted);
    for (path, id) in wanted.walk() {
        let node = wanted.node(id);
        let is_as_wanted = || {
            now.get(&path)
                .is_some_and(|there| there.is_directory() && there.metadata == node.metadata)
        };
        if node.is_directory() && !is_as_wanted() {
            changes.push(Change::Put {
                path,
                entry: Entry::Directory,
                metadata: node.metadata.clone(),
            });
        }
    }
    changes
}
