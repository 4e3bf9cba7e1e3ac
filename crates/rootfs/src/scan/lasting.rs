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
//!   something (what could not be made) is listed each time, and so is one as long as something below it is excluded by name.
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
    now(ClockId::RealtimeCoarse)
}

fn now(clock: ClockId) -> Timestamp {
    let now = rustix::time::clock_gettime(clock);
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
    let is_lasting =
        directory.stat.identity.ctime < began && known.is_unchanged(beside, &directory.stat);
    known.set_complete(beside, is_lasting);
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kigumi_layer::{Change, Entry, ImagePath, Metadata, Mode, Tree};

    use super::super::{Index, walk};
    use super::*;
    use crate::{Exclusions, Protection, RootDir, Virtuals, disk};

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text.as_bytes()).unwrap()
    }

    fn dir(name: &str) -> Change {
        let mut metadata = Metadata::root_owned(Mode::DIRECTORY, Timestamp::default());
        let me = rustix::process::geteuid().as_raw();
        (metadata.uid, metadata.gid) = (me, rustix::process::getegid().as_raw());
        Change::Put {
            path: path(name),
            entry: Entry::Directory,
            metadata,
        }
    }

    /// Until ticks are past what files have got so far. Filesystems may count finer than by ticks, so a file may be later than the tick in which it
    /// changed, and with a late tick later than the next one as well.
    fn wait_for_next_tick() {
        let now = now(ClockId::Realtime);
        while tick() <= now {
            std::thread::yield_now();
        }
    }

    /// A root with directories, recorded after all of them were there for a while.
    fn recorded_directories(
        directory: &std::path::Path,
        names: &[&str],
        protection: &Protection,
    ) -> (RootDir, Exclusions, Index) {
        let mut tree = Tree::new();
        for name in names {
            std::fs::create_dir_all(directory.join(name)).unwrap();
            tree.apply(dir(name)).unwrap();
        }
        let root = RootDir::open(directory).unwrap();
        let exclusions = Exclusions::new(&root, protection).unwrap();
        wait_for_next_tick();
        let mut index = Index::record(&root, &exclusions, tree, Virtuals::default()).unwrap();
        index.settle(&root).unwrap();
        (root, exclusions, index)
    }

    /// How many of how many directories a scan lists.
    fn listed(root: &RootDir, exclusions: &Exclusions, index: &mut Index) -> (usize, usize) {
        index.settle(root).unwrap();
        wait_for_next_tick();
        let before = index.tree.clone();
        let late = index.look(root, exclusions, &before).unwrap();
        let visits = late.visits;
        index.put_late(late, root).unwrap();
        (visits.listed, visits.directories)
    }

    #[test]
    fn only_directories_that_changed_are_listed_and_the_root_directory() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["a", "a/b", "a/b/c", "d"];
        let protection = Protection::default();
        let (root, exclusions, mut index) =
            recorded_directories(directory.path(), &names, &protection);
        let mut listed = || listed(&root, &exclusions, &mut index);
        // Settling touches the root directory.
        assert_eq!(listed(), (1, 5), "what was recorded need not be listed");
        std::fs::write(directory.path().join("a/b/new"), "x").unwrap();
        assert_eq!(listed(), (2, 5), "the one that changed");
        assert_eq!(listed(), (2, 5), "whether it now has the names of the tree");
        assert_eq!(listed(), (1, 5), "it has");
        std::fs::write(directory.path().join("a/b/new"), "other").unwrap();
        assert_eq!(listed(), (1, 5), "a file is no business of its directory");
        std::fs::create_dir(directory.path().join("d/new")).unwrap();
        assert_eq!(listed(), (3, 6));
        assert_eq!(listed(), (3, 6));
        assert_eq!(listed(), (1, 6));
        rustix::fs::rmdir(directory.path().join("d/new")).unwrap();
        assert_eq!(listed(), (2, 5));
    }

    #[test]
    fn directories_with_more_or_less_than_the_tree_has_are_listed_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let names = [
            "plain", "foreign", "socket", "held", "ignored", "moved", "taken", "taken/x",
        ];
        let at = |name: &str| directory.path().join(name);
        let protection = Protection {
            ours: vec![at("held/ours")],
            ignored: vec![path("/ignored/x")],
            ..Protection::default()
        };
        for name in ["foreign", "held"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        std::fs::write(at("foreign/file"), "x").unwrap();
        std::fs::create_dir(at("held/ours")).unwrap();
        std::fs::create_dir(at("socket")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket/s")).unwrap();
        let (root, mut exclusions, mut index) =
            recorded_directories(directory.path(), &names, &protection);
        for _ in 0..3 {
            let found = listed(&root, &exclusions, &mut index);
            assert_eq!(
                found,
                (5, 9),
                "the root, `foreign`, `socket`, `held`, `ignored`"
            );
        }
        // What is ours is elsewhere now: both directories changed, and the new one is listed from now on.
        rustix::fs::rename(at("held/ours"), at("moved/ours")).unwrap();
        exclusions.refresh().unwrap();
        for _ in 0..3 {
            let found = listed(&root, &exclusions, &mut index);
            assert_eq!(found, (6, 9), "`held` is still excluded by its name");
        }
        rustix::fs::rmdir(at("taken/x")).unwrap();
        let _other = std::os::unix::net::UnixListener::bind(at("taken/x")).unwrap();
        for _ in 0..3 {
            let found = listed(&root, &exclusions, &mut index);
            assert_eq!(found, (7, 8), "a socket has a name that the tree had");
        }
        rustix::fs::unlink(at("foreign/file")).unwrap();
        rustix::fs::unlink(at("socket/s")).unwrap();
        listed(&root, &exclusions, &mut index);
        let found = listed(&root, &exclusions, &mut index);
        assert_eq!(
            found,
            (5, 8),
            "two of them have nothing that is not in the tree"
        );
    }

    #[test]
    fn a_directory_that_changed_in_the_tick_in_which_a_scan_began_is_listed_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let protection = Protection::default();
        let (root, exclusions, mut index) =
            recorded_directories(directory.path(), &["d"], &protection);
        let id = index.tree.lookup(&path("/d")).unwrap();
        let stat = disk::stat_at(&root, b"d").unwrap();
        assert!(index.known.is_unchanged(id, &stat));
        let changed = stat.identity.ctime;
        let later = Timestamp {
            nanoseconds: changed.nanoseconds + 1,
            ..changed
        };
        for (began, is_lasting) in [(changed, false), (later, true)] {
            let known = Mutex::new(&mut index.known);
            walk::walk(
                &root,
                &exclusions,
                (None, walk::Opened::AsPlaces),
                |found, (): &mut (), _| {
                    judge(&mut known.lock().unwrap(), found, began);
                    let inside = (path("/d"), Some(id));
                    Ok(found.path.is_root().then_some(inside).into_iter().collect())
                },
            )
            .unwrap();
            assert_eq!(index.known.is_complete(id), is_lasting);
        }
    }

    /// Should not be, but costs nothing to be found: every name is looked at.
    #[test]
    fn what_is_gone_is_found_even_if_its_directory_pretends_to_be_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let protection = Protection::default();
        let (root, exclusions, mut index) =
            recorded_directories(directory.path(), &["d", "d/x", "d/y"], &protection);
        rustix::fs::rmdir(directory.path().join("d/x")).unwrap();
        let id = index.tree().lookup(&path("/d")).unwrap();
        let now = disk::stat_at(&root, b"d").unwrap();
        index.known.note(id, now.identity);
        index.known.set_complete(id, true);
        let before = index.tree().clone();
        assert_eq!(listed(&root, &exclusions, &mut index), (1, 3));
        let deleted = Change::Delete { path: path("/d/x") };
        let found = kigumi_layer::diff(&before, index.tree());
        assert_eq!(found.last(), Some(&deleted));
        assert_eq!(listed(&root, &exclusions, &mut index), (2, 3));
    }
}
