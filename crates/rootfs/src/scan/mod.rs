mod compare;
mod known;
mod lasting;
mod look;
mod names;
mod narrow;
mod packed;
mod record;
mod slots;
mod sockets;
mod update;
pub(crate) mod walk;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kigumi_layer::{
    Changes, ContentIdentity, FileContent, ImagePath, Kind, Origin, Timestamp, Tree,
};
use kigumi_oci::Digest;
use rustix::time::ClockId;

use crate::disk;
use crate::{Error, Exclusions, RootDir, Virtuals};
use compare::{Comparison, Late, Visits};
use known::Known;
use record::Recording;

pub use sockets::remove_sockets;

/// The tree as last seen on the disk, and what tells whether a file is still the one that was seen.
///
/// What a snapshot trusts is the change time, which no process can set (architecture § 2.9): an entry whose device, inode, change time, time, size,
/// mode, owner and number of links are as recorded is unchanged. Change times have the resolution of a clock tick (1 to 10 ms), so a
/// change within the tick of the recording would go unseen. Of the two cures, comparing every recent file's content or waiting until the tick is over, this is the
/// second: [`Index::settle`] waits at most two ticks once per RUN, whereas after unpacking *every* file is recent and would have to be read again.
///
/// A directory that is as it was seen has the names that it had, and is not listed again; `scan/lasting.rs` says when that can be relied on.
#[derive(Debug)]
pub struct Index {
    tree: Tree,
    known: Known,
    virtuals: Virtuals,
}

impl Index {
    /// The first look after unpacking: `tree` is what should be there, `virtuals` what of it is not. Files that are on the disk get
    /// [`Origin::Live`].
    ///
    /// # Errors
    /// [`Error`] with the file that is missing or could not be looked at.
    pub fn record(
        root: &RootDir,
        exclusions: &Exclusions,
        tree: Tree,
        virtuals: Virtuals,
    ) -> Result<Self, Error> {
        // Handles of directories that something else has replaced since.
        root.forget(&ImagePath::root());
        let known = Known::default();
        let recording = Recording {
            known: Mutex::new(Known::default()),
            began: lasting::tick(),
            comparison: Comparison {
                tree: &tree,
                known: &known,
                virtuals: &virtuals,
                exclusions,
            },
        };
        let start = Some(tree.root());
        let findings = walk::walk(
            root,
            exclusions,
            (start, walk::Opened::ForNames),
            |directory, findings, names| recording.directory(directory, findings, names),
        )?;
        record::ensure_complete(findings)?;
        let known = recording.known;
        let known = known.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut index = Self {
            tree,
            known,
            virtuals,
        };
        index.become_live();
        Ok(index)
    }

    /// The bytes of what is on the disk are there.
    fn become_live(&mut self) {
        for id in self.tree.ids() {
            let is_elsewhere = |content: &FileContent| content.origin != Origin::Live;
            if self.known.seen(id).is_some()
                && self.tree.node(id).file().is_some_and(is_elsewhere)
                && let Some(content) = self.tree.node_mut(id).file_mut()
            {
                content.origin = Origin::Live;
            }
        }
    }

    /// Waits, at most two clock ticks, until a change would get another change time than anything recorded. To be called before a
    /// process is let at the root. Where the clock of the root's filesystem does not get there (it was set back), the content of the files in question is
    /// compared at the next scan.
    ///
    /// # Errors
    /// [`Error`] when the root cannot be looked at.
    pub fn settle(&mut self, root: &RootDir) -> Result<(), Error> {
        let Some(now) = wait_past(root, self.known.newest)? else {
            return Ok(());
        };
        self.known.suspect_since(now);
        Ok(())
    }

    /// The tree as last seen.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Where the disk is not as the tree says.
    pub fn virtuals(&self) -> &Virtuals {
        &self.virtuals
    }

    /// Looks at the disk again. Afterwards [`Index::tree`] is what is there now; returned is the tree as it was before, so that
    /// `diff(&before, index.tree())` is the layer, and so is [`Changes::between`] the two.
    ///
    /// Mounts and what is excluded are taken over from the tree before (T-SNAP-13, T-UNPACK-12). Sockets are not there (T-SNAP-14).
    ///
    /// # Errors
    /// [`Error`] with the file that could not be looked at.
    pub fn scan(&mut self, root: &RootDir, exclusions: &Exclusions) -> Result<Tree, Error> {
        let before = self.tree.clone();
        let late = self.look(root, exclusions, &before)?;
        let Visits {
            directories,
            listed,
        } = late.visits;
        tracing::debug!(directories, listed, "looked at the root filesystem");
        self.put_late(late, root)?;
        Ok(before)
    }

    /// Brings the tree to what is on the disk, but for what has to wait.
    fn look(
        &mut self,
        root: &RootDir,
        exclusions: &Exclusions,
        before: &Tree,
    ) -> Result<Late, Error> {
        // A RUN may have moved directories whose handles are still held.
        root.forget(&ImagePath::root());
        self.tree.begin_layer();
        look::look(self, root, (before, exclusions))
    }

    /// As [`Index::learn`], of all regular files that are new or changed since `before`, in the order of their changes.
    pub fn learn_all(&mut self, before: &Tree, digests: Vec<Option<Digest>>) {
        // There are as many as files, so nothing is kept of them that the digests do not have, and no list grows by doubling.
        let mut files = Vec::with_capacity(digests.len());
        let changed = Changes::between(before, &self.tree).filter(|change| change.file().is_some());
        files.extend(
            changed
                .filter_map(|change| self.tree.lookup(change.path()))
                .take(digests.len()),
        );
        for (id, digest) in files.into_iter().zip(digests) {
            if let Some(digest) = digest
                && let Kind::File(content) = &mut self.tree.node_mut(id).kind
            {
                content.identity = ContentIdentity::Sha256(digest);
            }
        }
    }

    /// Tells the digest of a file whose bytes somebody has read since the last scan (the layer writer), so that a later change of its change time alone is
    /// not taken for a change of content.
    pub fn learn(&mut self, path: &ImagePath, digest: Digest) {
        let Some(id) = self.tree.lookup(path) else {
            return;
        };
        if let Kind::File(content) = &mut self.tree.node_mut(id).kind {
            content.identity = ContentIdentity::Sha256(digest);
        }
    }

    /// Gives the tree and what is not on the disk back, to apply further changes to both with an [`Unpacker`](crate::Unpacker) that continues
    /// from these virtuals, and to be recorded again.
    pub fn into_parts(self) -> (Tree, Virtuals) {
        (self.tree, self.virtuals)
    }
}

/// A clock tick is at least this long (`CONFIG_HZ` is at most 1000).
const TICK_NANOSECONDS: u64 = 1_000_000;
/// How long to wait before looking at the clock again.
const PAUSE_NANOSECONDS: u64 = 1_000_000;

/// Waits, at most two clock ticks, until a change on the filesystem of `root` gets a later time than `newest`. Where that does not happen, gives the time
/// that a change gets.
pub(crate) fn wait_past(root: &RootDir, newest: Timestamp) -> Result<Option<Timestamp>, Error> {
    let resolution = rustix::time::clock_getres(ClockId::RealtimeCoarse);
    let tick = u64::try_from(resolution.tv_nsec).unwrap_or(TICK_NANOSECONDS);
    let mut left = 2 * tick.max(TICK_NANOSECONDS) / PAUSE_NANOSECONDS;
    loop {
        let now = clock_of(root)?;
        if now > newest {
            return Ok(None);
        }
        if left == 0 {
            return Ok(Some(now));
        }
        left -= 1;
        std::thread::sleep(Duration::from_nanos(PAUSE_NANOSECONDS));
    }
}

/// The time that a change would get now, by the clock of the root's own filesystem: it may be another machine's.
fn clock_of(root: &RootDir) -> Result<Timestamp, Error> {
    let failed = |source| Error::file("look at", &ImagePath::root(), source);
    let stat = disk::stat_of_fd(root).map_err(failed)?;
    let same = rustix::fs::Mode::from_raw_mode(stat.identity.permissions().bits());
    // Setting the mode that it has changes nothing but the change time.
    if rustix::fs::fchmod(root, same).is_ok() {
        return Ok(disk::stat_of_fd(root).map_err(failed)?.identity.ctime);
    }
    Ok(lasting::tick())
}

#[cfg(test)]
mod tests {
    use kigumi_layer::{Change, Entry, Metadata, Mode};

    use super::*;
    use crate::Protection;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text.as_bytes()).unwrap()
    }

    /// A root with one file `f` that holds "x", recorded.
    fn recorded(directory: &std::path::Path) -> (RootDir, Exclusions, Index) {
        std::fs::write(directory.join("f"), "x").unwrap();
        let root = RootDir::open(directory).unwrap();
        let exclusions = Exclusions::new(&root, &Protection::default()).unwrap();
        let mut tree = Tree::new();
        let stat = disk::stat_at(&root, b"f").unwrap();
        tree.apply(Change::Put {
            path: path("/f"),
            entry: Entry::File(FileContent::inline(b"x")),
            metadata: Metadata {
                mode: Mode::FILE,
                uid: stat.identity.uid,
                gid: stat.identity.gid,
                mtime: stat.identity.mtime,
                ..Metadata::default()
            },
        })
        .unwrap();
        let index = Index::record(&root, &exclusions, tree, Virtuals::default()).unwrap();
        (root, exclusions, index)
    }

    #[test]
    fn where_the_clock_does_not_get_past_the_record_contents_are_compared() {
        let directory = tempfile::tempdir().unwrap();
        let (root, exclusions, mut index) = recorded(directory.path());
        let id = index.tree.lookup(&path("/f")).unwrap();
        // As if the clock had been set back after the file was recorded.
        let future = Timestamp::from_seconds(1 << 40);
        index.known.newest = future;
        let real = index.known.seen(id).unwrap().identity.ctime;
        index.known.set_ctime(id, future);
        index.settle(&root).unwrap();
        assert!(index.known.seen(id).unwrap().is_suspect);
        index.known.set_ctime(id, real);
        assert!(index.known.seen(id).unwrap().is_suspect);
        let stat = disk::stat_at(&root, b"f").unwrap();
        assert!(!index.known.is_unchanged(id, &stat), "it has to be read");
        let before = index.scan(&root, &exclusions).unwrap();
        assert_eq!(kigumi_layer::diff(&before, index.tree()), []);
        let id = index.tree.lookup(&path("/f")).unwrap();
        assert!(index.known.is_unchanged(id, &stat), "it was read");
    }

    /// A file with two names is looked at twice, and between the two looks something on the host may write to it.
    #[test]
    fn a_change_between_the_looks_at_two_names_is_found_by_the_next_scan() {
        let directory = tempfile::tempdir().unwrap();
        let (root, exclusions, mut index) = recorded(directory.path());
        let at = |name: &str| directory.path().join(name);
        std::fs::hard_link(at("f"), at("g")).unwrap();
        index.scan(&root, &exclusions).unwrap();
        let file = std::fs::File::options().write(true).open(at("f")).unwrap();
        let set = |seconds| {
            let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(time).unwrap();
        };
        let look_at = |name: &str, index: &mut Index| {
            let before = index.tree.clone();
            let mut late = index.look(&root, &exclusions, &before).unwrap();
            let name = path(&format!("/{name}"));
            late.linked.retain(|here| here.path == name);
            late.linked
        };
        set(1);
        let mut linked = look_at("f", &mut index);
        set(2);
        linked.append(&mut look_at("g", &mut index));
        assert_eq!(linked.len(), 2);
        let late = Late {
            linked,
            ..Late::default()
        };
        index.put_late(late, &root).unwrap();
        index.scan(&root, &exclusions).unwrap();
        let id = index.tree.lookup(&path("/g")).unwrap();
        let mtime = index.tree.node(id).metadata.mtime;
        assert_eq!(mtime, Timestamp::from_seconds(2));
    }

    #[test]
    fn after_settling_every_change_gets_another_change_time_t_bug_18() {
        let directory = tempfile::tempdir().unwrap();
        let (root, exclusions, mut index) = recorded(directory.path());
        let file = std::fs::File::options()
            .write(true)
            .open(directory.path().join("f"))
            .unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        for round in 0..50 {
            index.settle(&root).unwrap();
            std::os::unix::fs::FileExt::write_at(&file, &[b'a' + round % 2], 0).unwrap();
            file.set_modified(modified).unwrap();
            let before = index.scan(&root, &exclusions).unwrap();
            let changes = kigumi_layer::diff(&before, index.tree());
            assert_eq!(changes.len(), 1, "round {round}: {changes:?}");
        }
    }
}
