//! When a directory need not be listed.
//!
//! Adding, removing or renaming an entry changes the change time of the directory, and no process can set that. So a directory that is as it was
//! seen has the names that it had, and if those were the names that the tree has, the tree lists it. Four things make this sound:
//!
//! * What is recorded of a directory was seen *before* its names were read. One that changes meanwhile differs from its record at the next scan.
//! * What was recorded has to differ from all that comes later: a directory that changed in the clock tick in which the scan began, or after it, is not
//!   judged. Every change after it was listed then gets a later change time. (Where the clock is set back, [`Index::settle`](super::Index::settle) finds
//!   out, and what is suspect is listed.)
//! * Only names that are in the tree count. A directory with anything beside (a socket, a foreign file, a mount, something of ours) or without
//!   something (what could not be made) is listed each time, and so is one that has something excluded below it, which the next reading of the mounts may move.
//! * Nothing but scans changes the names of the tree, and they note every directory anew that changed on the disk: [`Known::note`] forgets that it was complete.
//!
//! The files in such a directory are looked at one by one all the same: their change says nothing about the directory.

use kigumi_layer::{NodeId, Timestamp};
use rustix::time::ClockId;

use super::compare::Beside;
use super::known::Known;
use super::walk::Directory;

/// The time that a change would get now, to the tick.
pub(super) fn tick() -> Timestamp {
    let now = rustix::time::clock_gettime(ClockId::RealtimeCoarse);
    Timestamp {
        seconds: now.tv_sec,
        nanoseconds: u32::try_from(now.tv_nsec).unwrap_or_default(),
    }
}

/// Whether the tree has the names of this directory.
pub(super) fn is_listed_by_tree(
    known: &Known,
    directory: &Directory<'_, Beside>,
    beside: NodeId,
) -> bool {
    known.is_complete(beside)
        && !directory.is_pinned()
        && known.is_unchanged(beside, &directory.stat)
}

/// Notes of a directory that was just listed, and has the names that the tree has, whether it need be listed again. `began` is the [`tick`] before the scan.
pub(super) fn judge(known: &mut Known, directory: &Directory<'_, Beside>, began: Timestamp) {
    let Some(beside) = directory.tag else {
        return;
    };
    let is_lasting = !directory.is_pinned()
        && directory.stat.identity.ctime < began
        && known.is_unchanged(beside, &directory.stat);
    known.set_complete(beside, is_lasting);
}
