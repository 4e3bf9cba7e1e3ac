//! How a root filesystem on which one stage lies becomes what the next one begins with: what was done since both were the same is undone (ADR 25).
//!
//! What was, and whether to go back to it, are values; `steps` does it.

mod steps;

use kigumi_layer::{Change, Kind, Tree, undo};
use kigumi_oci::DiffId;
use kigumi_rootfs::Index;

use super::stage::NumberedLayer;

/// What the layers of a stage are, base layer first.
pub(crate) type Stack = Vec<DiffId>;

/// The stack of numbered layers.
pub(crate) fn stack_of(layers: &[NumberedLayer]) -> Stack {
    layers.iter().map(|(layer, _)| layer.diff_id).collect()
}

/// How many layers a stack has in common with that of others with which it has the most in common.
pub(crate) fn longest_shared(stack: &[DiffId], others: &[Stack]) -> usize {
    let shared = |other: &Stack| {
        let pairs = stack.iter().zip(other);
        pairs.take_while(|(ours, theirs)| ours == theirs).count()
    };
    others.iter().map(shared).max().unwrap_or_default()
}

/// What the root filesystem was when a stack of layers, and nothing else, lay on it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    stack: Stack,
    /// The numbers by which the tree knows the layers whose files are not on the disk.
    numbers: Vec<u32>,
    tree: Tree,
}

impl Checkpoint {
    /// The layers that lay there, of a stage that has them under numbers of its own, under the numbers that the tree knows.
    pub(crate) fn known_as(&self, layers: &[NumberedLayer]) -> Vec<NumberedLayer> {
        let known = layers.iter().zip(&self.numbers);
        known
            .map(|((layer, _), number)| (layer.clone(), *number))
            .collect()
    }

    /// How many layers lay there.
    pub(crate) fn depth(&self) -> usize {
        self.stack.len()
    }
}

/// What the root filesystem was before, as far as a later stage may want that again.
#[derive(Debug, Default)]
pub(crate) struct Past {
    checkpoints: Vec<Checkpoint>,
    /// The last look at what lies there now.
    last: Option<Box<Index>>,
}

impl Past {
    /// Remembers what the root filesystem is now.
    pub(crate) fn remember(&mut self, layers: &[NumberedLayer], tree: &Tree) {
        let stack = stack_of(layers);
        self.checkpoints.retain(|known| known.stack != stack);
        self.checkpoints.push(Checkpoint {
            stack,
            numbers: layers.iter().map(|(_, number)| *number).collect(),
            tree: tree.clone(),
        });
    }

    /// Whether anything that is known is of use to stages that begin with these stacks; the rest is forgotten.
    pub(crate) fn serves(&mut self, awaited: &[Stack]) -> bool {
        self.checkpoints
            .retain(|known| awaited.iter().any(|stack| stack.starts_with(&known.stack)));
        !self.checkpoints.is_empty()
    }

    /// Leaves a stage lying there.
    pub(crate) fn leave(&mut self, index: Box<Index>) {
        self.last = Some(index);
    }

    /// What lies there, and what it was when it had the most in common with a stack. What is known is gone with that, but for
    /// [`Past::put_back`].
    pub(crate) fn take(&mut self, stack: &[DiffId]) -> Option<(Box<Index>, Checkpoint)> {
        let index = self.last.take()?;
        let known = self.checkpoints.iter().enumerate();
        let (deepest, _) = known
            .filter(|(_, known)| stack.starts_with(&known.stack))
            .max_by_key(|(_, known)| known.stack.len())?;
        Some((index, self.checkpoints.swap_remove(deepest)))
    }

    /// Remembers again what was gone back to.
    pub(crate) fn put_back(&mut self, checkpoint: Checkpoint) {
        self.checkpoints.push(checkpoint);
    }
}

/// How the root filesystem gets to a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By these changes.
    Undo(Vec<Change>),
    /// So much would have to come back that all may as well be unpacked again.
    Unpack {
        /// How many files would.
        files: u64,
    },
}

/// Decides. To delete what was added is never more than a wipe. A file that comes back is written twice, to a scratch file and to its place: where half
/// of all files, or of all bytes, would have to, there is nothing to gain.
pub(crate) fn way(now: &Tree, checkpoint: &Checkpoint) -> Way {
    let changes = undo(now, &checkpoint.tree);
    let (files, bytes) = amount(
        changes
            .iter()
            .filter_map(Change::file)
            .map(|file| file.size),
    );
    let all = checkpoint.tree.ids();
    let (all_files, all_bytes) =
        amount(all.filter_map(|id| match &checkpoint.tree.node(id).kind {
            Kind::File(content) => Some(content.size),
            Kind::Directory(_)
            | Kind::Symlink(_)
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_)
            | Kind::Fifo => None,
        }));
    if files > all_files / 2 || bytes > all_bytes / 2 {
        Way::Unpack { files }
    } else {
        Way::Undo(changes)
    }
}

fn amount(sizes: impl Iterator<Item = u64>) -> (u64, u64) {
    sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
}

/// Whether the root filesystem is what it was.
pub(crate) fn is_back(now: &Tree, checkpoint: &Checkpoint) -> bool {
    undo(now, &checkpoint.tree).is_empty()
}

/// How many files have to come back.
pub(crate) fn files_in(changes: &[Change]) -> usize {
    changes.iter().filter_map(Change::file).count()
}

/// Says of every file that comes back where its bytes are, by the headers of the layers that they are in; `false` if those do not have one of this
/// length there.
pub(crate) fn locate(changes: &mut [Change], headers: &Tree) -> bool {
    changes.iter_mut().all(|change| {
        let path = change.path().clone();
        let Some(content) = change.file_mut() else {
            return true;
        };
        let stored = headers.get(&path).and_then(|node| node.file());
        let Some(stored) = stored.filter(|stored| stored.size == content.size) else {
            return false;
        };
        content.origin = stored.origin.clone();
        true
    })
}

#[cfg(test)]
mod tests;
