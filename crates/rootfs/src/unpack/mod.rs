pub(crate) mod attributes;
mod virtuals;
mod writers;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use kigumi_layer::{
    Change, ContentIdentity, Device, Effect, Entry, FileContent, ImagePath, Metadata, Mode,
    Timestamp, Tree,
};
use kigumi_oci::{Digest, Digester};
use rustix::fs::{AtFlags, FileType, OFlags};
use rustix::io::Errno;

use crate::disk;
use crate::root_dir;
use crate::wipe::Remover;
use crate::{Error, Exclusions, WritableRoot};

pub use virtuals::{Refused, Virtual, Virtuals, WhyVirtual};
use writers::{Content, Done, Job, Writers};

/// What [`Unpacker::apply`] did with an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placement {
    /// It is on the disk as asked, or there was nothing to put.
    Exact,
    /// See [`Virtual`].
    Virtual(Virtual),
}

/// Does on the disk what [`Tree::apply`](kigumi_layer::Tree::apply) did in memory.
///
/// Links are resolved by the tree, so every path here is free of them, and one that turns up on the disk all the same is an error and not a way.
/// Everything is made new (`O_EXCL`) and dressed through its own descriptor (hostile-input rules X1 to X7).
#[derive(Debug)]
pub struct Unpacker<'a> {
    root: &'a WritableRoot,
    exclusions: &'a Exclusions,
    virtuals: Virtuals,
    /// Directories whose mode and time are set when nothing more is put into them.
    deferred: BTreeMap<ImagePath, Deferred>,
    buffer: Vec<u8>,
    crew: Crew,
}

/// Who writes files.
#[derive(Debug)]
enum Crew {
    /// Threads are worth their while from the second file on.
    NotYet,
    Alone,
    Threads(Writers),
}

/// What a directory gets at the end.
#[derive(Debug)]
struct Deferred {
    inode: (u64, u64),
    /// `None` for directories of earlier layers, which keep theirs.
    mode: Option<Mode>,
    mtime: Timestamp,
}

/// How much of a file is in memory at once.
const BUFFER: usize = 128 * 1024;

/// Files up to this length are read whole and written by other threads.
const SMALL: u64 = 64 * 1024;

/// What a file is called while the directory above it gives way.
const SAVED_NAME: &[u8] = b".kigumi-saved";

/// The outcome for one entry before the placement is recorded.
type Outcome = Result<Option<Virtual>, Error>;

impl<'a> Unpacker<'a> {
    /// Starts with what is virtual already (nothing on an empty root).
    pub fn new(root: &'a WritableRoot, exclusions: &'a Exclusions, virtuals: Virtuals) -> Self {
        // A RUN may have moved directories whose handles are still held.
        root.forget(&ImagePath::root());
        Self {
            root,
            exclusions,
            virtuals,
            deferred: BTreeMap::new(),
            buffer: vec![0; BUFFER],
            crew: Crew::NotYet,
        }
    }

    /// Does one change. `effect` is what `Tree::apply` of this `tree` returned for it. `content` are the bytes of a regular file, read to the end even
    /// when the file becomes virtual; their digest is told to the tree, now or by the time of [`Unpacker::finish`].
    ///
    /// A file may still be on its way to the disk: what the kernel refused of it is known in the end. Other than that, names appear and
    /// disappear in the order of the changes.
    ///
    /// # Errors
    /// [`Error`] when the disk fails (full, broken), not when it refuses: that gives a [`Virtual`].
    pub fn apply(
        &mut self,
        tree: &mut Tree,
        change: &Change,
        effect: &Effect,
        content: Option<&mut dyn Read>,
    ) -> Result<Placement, Error> {
        if let (Some(target), Some(place)) = (&effect.target, &effect.placed)
            && effect.removed.iter().any(|path| target.starts_with(path))
        {
            self.settle(tree, &[])?;
            return self.link_over(place, target, effect).map(|outcome| {
                let placement = outcome.clone().map_or(Placement::Exact, Placement::Virtual);
                self.note(place, outcome);
                placement
            });
        }
        self.make_way(tree, effect)?;
        for path in &effect.removed {
            self.remove(path)?;
        }
        for path in &effect.made {
            let implied = Metadata::root_owned(Mode::DIRECTORY, Timestamp::default());
            let outcome = self.directory(path, &implied)?;
            self.note(path, outcome);
        }
        let Some(path) = &effect.placed else {
            return Ok(Placement::Exact);
        };
        let outcome = match change {
            Change::Put {
                entry: Entry::File(file),
                metadata,
                ..
            } => {
                let (outcome, digest) = self.file(path, file, metadata, content)?;
                teach(tree, path, digest);
                outcome
            }
            Change::Put {
                entry, metadata, ..
            } => self.put(path, entry, metadata)?,
            Change::Link { .. } => self.link(path, effect.target.as_ref())?,
            Change::Delete { .. } | Change::ClearDir { .. } => None,
        };
        let placement = outcome.clone().map_or(Placement::Exact, Placement::Virtual);
        self.note(path, outcome);
        while let Crew::Threads(writers) = &mut self.crew
            && let Some(done) = writers.poll()
        {
            self.report(tree, &[], done)?;
        }
        Ok(placement)
    }

    /// Before something is removed or linked to, all is known about it. What is written at a path that the effect removes does not count any more:
    /// the tree may have something else there by now. (Had it another name, it would have been waited for when it got that.)
    fn make_way(&mut self, tree: &mut Tree, effect: &Effect) -> Result<(), Error> {
        let Crew::Threads(writers) = &self.crew else {
            return Ok(());
        };
        let is_linked = effect
            .target
            .as_ref()
            .is_some_and(|target| writers.holds(target));
        if effect.removed.is_empty() && !is_linked {
            return Ok(());
        }
        self.settle(tree, &effect.removed)
    }

    /// Waits for all files that are on their way.
    fn settle(&mut self, tree: &mut Tree, removed: &[ImagePath]) -> Result<(), Error> {
        while let Crew::Threads(writers) = &mut self.crew
            && let Some(done) = writers.wait()
        {
            self.report(tree, removed, done)?;
        }
        Ok(())
    }

    fn report(&mut self, tree: &mut Tree, removed: &[ImagePath], done: Done) -> Result<(), Error> {
        let (refused, digest) = done.result?;
        if !removed.iter().any(|path| done.path.starts_with(path)) {
            self.note(&done.path, partial(refused));
            teach(tree, &done.path, Some(digest));
        }
        Ok(())
    }

    /// Waits for what is on its way, and sets modes and times of the directories that were written to, the deepest first. Must be called once after the
    /// last change, with the tree of all of them.
    ///
    /// # Errors
    /// As [`Unpacker::apply`].
    pub fn finish(mut self, tree: &mut Tree) -> Result<Virtuals, Error> {
        self.settle(tree, &[])?;
        for (path, deferred) in std::mem::take(&mut self.deferred).into_iter().rev() {
            let failed = |source: Errno| Error::file("set the time of directory", &path, source);
            let fd = self
                .root
                .open_directory(&path, OFlags::RDONLY)
                .map_err(failed)?;
            if disk::stat_of_fd(&fd).map_err(failed)?.inode() != deferred.inode {
                return Err(Error::Moved { path });
            }
            let refused = match deferred.mode {
                Some(mode) => match rustix::fs::fchmod(&fd, attributes::permissions(mode)) {
                    Ok(()) => false,
                    Err(Errno::PERM) => true,
                    Err(error) => return Err(failed(error)),
                },
                None => false,
            };
            match rustix::fs::futimens(&fd, &attributes::times(deferred.mtime)) {
                Ok(()) | Err(Errno::PERM) => {}
                Err(error) => return Err(failed(error)),
            }
            if refused {
                let mut lacks = match self.virtuals.get(&path) {
                    Some(Virtual::Partial(lacks)) => lacks.clone(),
                    Some(Virtual::Absent(_)) | None => Refused::default(),
                };
                lacks.mode = true;
                self.virtuals.insert(path, Virtual::Partial(lacks));
            }
        }
        self.root.forget(&ImagePath::root());
        Ok(self.virtuals)
    }

    fn note(&mut self, path: &ImagePath, outcome: Option<Virtual>) {
        match outcome {
            Some(entry) => {
                if entry == Virtual::Absent(WhyVirtual::Pinned) {
                    tracing::warn!(
                        %path,
                        "something mounted or protected lies below this path, so it stays a directory while the build \
                         runs; the image has what it should, but not what a RUN writes there"
                    );
                } else {
                    tracing::debug!(%path, ?entry, "the disk differs from the image");
                }
                self.virtuals.insert(path.clone(), entry);
            }
            None => self.virtuals.remove(path),
        }
    }

    fn remove(&mut self, path: &ImagePath) -> Result<(), Error> {
        self.virtuals.remove_below(path);
        self.forget_deferred(path);
        if self.exclusions.is_excluded(path) {
            return Ok(());
        }
        let (Some(name), Ok(parent)) = (path.file_name(), self.parent(path)?) else {
            return Ok(());
        };
        self.root.forget(path);
        Remover::new(self.root, self.exclusions)
            .remove(&*parent, name, path)
            .map(drop)
    }

    fn forget_deferred(&mut self, path: &ImagePath) {
        let doomed: Vec<ImagePath> = self
            .deferred
            .range::<ImagePath, _>(path..)
            .map(|(below, _)| below)
            .take_while(|below| below.starts_with(path))
            .cloned()
            .collect();
        for path in doomed {
            self.deferred.remove(&path);
        }
    }

    /// The directory that holds `path`, whose time is going to be put back at the end; or why there is none on the disk.
    fn parent(&mut self, path: &ImagePath) -> Result<Result<Arc<OwnedFd>, WhyVirtual>, Error> {
        let parent = path.parent().unwrap_or_default();
        let failed = |source: Errno| Error::file("open the directory of", path, source);
        let fd = match self.root.parent(path) {
            Ok(fd) => fd,
            Err(Errno::XDEV) => return Ok(Err(WhyVirtual::Excluded)),
            Err(error) if root_dir::is_absent(error) && self.virtuals.is_absent(&parent) => {
                return Ok(Err(WhyVirtual::Detached));
            }
            Err(error) => return Err(failed(error)),
        };
        if !self.deferred.contains_key(&parent) {
            let stat = disk::stat_of_fd(&*fd).map_err(failed)?;
            if self.exclusions.guards(&stat) {
                return Ok(Err(WhyVirtual::Excluded));
            }
            let keep = Deferred {
                inode: stat.inode(),
                mode: None,
                mtime: stat.identity.mtime,
            };
            self.deferred.insert(parent, keep);
        }
        Ok(Ok(fd))
    }

    /// Whether `path` may be written at all, and its directory.
    fn place(
        &mut self,
        path: &ImagePath,
        is_directory: bool,
    ) -> Result<Result<Arc<OwnedFd>, WhyVirtual>, Error> {
        if self.exclusions.is_excluded(path) {
            return Ok(Err(WhyVirtual::Excluded));
        }
        if !is_directory && self.exclusions.is_pinned(path) {
            return Ok(Err(WhyVirtual::Pinned));
        }
        self.parent(path)
    }

    fn put(&mut self, path: &ImagePath, entry: &Entry, metadata: &Metadata) -> Outcome {
        match entry {
            Entry::Directory => self.directory(path, metadata),
            Entry::Symlink(target) => self.special(path, metadata, false, |parent, name| {
                rustix::fs::symlinkat(&**target, parent, name)
            }),
            Entry::CharDevice(device) => {
                self.device(path, metadata, FileType::CharacterDevice, *device)
            }
            Entry::BlockDevice(device) => {
                self.device(path, metadata, FileType::BlockDevice, *device)
            }
            Entry::Fifo => self.device(
                path,
                metadata,
                FileType::Fifo,
                Device { major: 0, minor: 0 },
            ),
            // Files come with content and another way.
            Entry::File(_) => Ok(None),
        }
    }

    fn directory(&mut self, path: &ImagePath, metadata: &Metadata) -> Outcome {
        let failed = |source: Errno| Error::file("make directory", path, source);
        let fd = match path.file_name() {
            None => self
                .root
                .open_directory(path, OFlags::RDONLY)
                .map_err(failed)?,
            Some(name) => {
                let parent = match self.place(path, true)? {
                    Ok(parent) => parent,
                    Err(why) => return Ok(Some(Virtual::Absent(why))),
                };
                match self.make_directory(&parent, name, path)? {
                    Ok(fd) => fd,
                    Err(why) => return Ok(Some(Virtual::Absent(why))),
                }
            }
        };
        let stat = disk::stat_of_fd(&fd).map_err(failed)?;
        if self.exclusions.guards(&stat) {
            return Ok(Some(Virtual::Absent(WhyVirtual::Excluded)));
        }
        let mut refused = Refused::default();
        attributes::dress_directory(&fd, metadata, &mut refused).map_err(failed)?;
        let deferred = Deferred {
            inode: stat.inode(),
            mode: Some(metadata.mode),
            mtime: metadata.mtime,
        };
        self.deferred.insert(path.clone(), deferred);
        Ok(partial(refused))
    }

    fn make_directory(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        path: &ImagePath,
    ) -> Result<Result<OwnedFd, WhyVirtual>, Error> {
        let failed = |source: Errno| Error::file("make directory", path, source);
        let is_there = disk::stat_at(parent, name).is_ok_and(|stat| stat.is_directory());
        if !is_there {
            let made = self.make(parent, name, path, |parent, name| {
                rustix::fs::mkdirat(parent, name, rustix::fs::Mode::RWXU)
            })?;
            if let Err(why) = made {
                return Ok(Err(why));
            }
        }
        match root_dir::open_child(parent, name, self.root) {
            Ok(fd) => Ok(Ok(fd)),
            Err(Errno::XDEV) => Ok(Err(WhyVirtual::Excluded)),
            Err(error) => Err(failed(error)),
        }
    }

    fn device(
        &mut self,
        path: &ImagePath,
        metadata: &Metadata,
        kind: FileType,
        device: Device,
    ) -> Outcome {
        if kind == FileType::CharacterDevice && (device.major, device.minor) == (0, 0) {
            // On overlayfs this is a deletion mark: everybody may make it, and it would be gone at once.
            return Ok(Some(Virtual::Absent(WhyVirtual::Refused)));
        }
        let number = rustix::fs::makedev(device.major, device.minor);
        self.special(path, metadata, true, |parent, name| {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(parent, name, kind, mode, number)
        })
    }

    /// Everything that is made by one call and never opened.
    fn special(
        &mut self,
        path: &ImagePath,
        metadata: &Metadata,
        has_mode: bool,
        make: impl Fn(&OwnedFd, &[u8]) -> rustix::io::Result<()>,
    ) -> Outcome {
        let Some(name) = path.file_name() else {
            return Ok(None);
        };
        let parent = match self.place(path, false)? {
            Ok(parent) => parent,
            Err(why) => return Ok(Some(Virtual::Absent(why))),
        };
        if let Err(why) = self.make(&parent, name, path, make)? {
            return Ok(Some(Virtual::Absent(why)));
        }
        let refused = attributes::dress_unopened(&parent, name, metadata, has_mode)
            .map_err(|source| Error::file("set owner and time of", path, source))?;
        Ok(partial(refused))
    }

    fn file(
        &mut self,
        path: &ImagePath,
        file: &FileContent,
        metadata: &Metadata,
        content: Option<&mut dyn Read>,
    ) -> Result<(Option<Virtual>, Option<Digest>), Error> {
        let content: &mut dyn Read = match content {
            Some(content) => content,
            None if file.size == 0 => &mut std::io::empty(),
            None => return Err(Error::ContentMissing { path: path.clone() }),
        };
        let (Some(name), parent) = (path.file_name(), self.place(path, false)?) else {
            return Ok((None, None));
        };
        let made = match parent {
            Ok(parent) => self.make(&parent, name, path, |parent, name| {
                create_file(parent, name, metadata.mode)
            })?,
            Err(why) => Err(why),
        };
        let fd = match made {
            Ok(fd) => fd,
            Err(why) => {
                let digest = self.copy(content, None, path, file.size)?;
                return Ok((Some(Virtual::Absent(why)), Some(digest)));
            }
        };
        let Some(fd) = self.hand_on(fd, path, (file.size, metadata), content)? else {
            return Ok((None, None));
        };
        let digest = self.copy(content, Some(&fd), path, file.size)?;
        let refused = writers::dress(&fd, path, metadata)?;
        Ok((partial(refused), Some(digest)))
    }

    /// Lets another thread fill a file, or gives it back with its content unread.
    fn hand_on(
        &mut self,
        fd: OwnedFd,
        path: &ImagePath,
        (size, metadata): (u64, &Metadata),
        content: &mut dyn Read,
    ) -> Result<Option<OwnedFd>, Error> {
        let writers = match &mut self.crew {
            Crew::Alone => return Ok(Some(fd)),
            Crew::NotYet => {
                self.crew = Writers::start().map_or(Crew::Alone, Crew::Threads);
                return Ok(Some(fd));
            }
            Crew::Threads(writers) => writers,
        };
        let job = |content| Job {
            path: path.clone(),
            fd,
            content,
            metadata: metadata.clone(),
        };
        if size <= SMALL {
            let room = writers.room();
            let start = room.len();
            read_whole(content, path, size, room)?;
            let range = start..room.len();
            return if writers.submit(job(Content::Whole(range))) {
                Ok(None)
            } else {
                Err(died(path))
            };
        }
        let (pieces, whole) = Content::in_pieces(size);
        if !writers.submit(job(whole)) {
            return Err(died(path));
        }
        let has_sent = send_pieces(
            content,
            path,
            size,
            || writers.piece(),
            |piece| pieces.send(piece).is_ok(),
        )?;
        if has_sent {
            return Ok(None);
        }
        // The thread has given the file up, and says why.
        while let Some(done) = writers.wait() {
            done.result?;
        }
        Err(died(path))
    }

    /// Writes a file's content and hashes it on the way; without `into` it is only hashed.
    fn copy(
        &mut self,
        content: &mut dyn Read,
        into: Option<&OwnedFd>,
        path: &ImagePath,
        expected: u64,
    ) -> Result<Digest, Error> {
        let mut digester = Digester::new();
        loop {
            let count = read(content, &mut self.buffer, path)?;
            if count == 0 {
                break;
            }
            let bytes = self.buffer.get(..count).unwrap_or_default();
            digester.update(bytes);
            if let Some(fd) = into {
                write_all(fd, bytes).map_err(|source| Error::file("write", path, source))?;
            }
        }
        let actual = digester.bytes();
        if actual != expected {
            let path = path.clone();
            return Err(Error::ContentSize {
                path,
                expected,
                actual,
            });
        }
        Ok(digester.finish())
    }

    fn link(&mut self, path: &ImagePath, target: Option<&ImagePath>) -> Outcome {
        let (Some(target), Some(name)) = (target, path.file_name()) else {
            return Ok(None);
        };
        let Some(target_name) = target.file_name() else {
            return Ok(None);
        };
        if self.exclusions.is_excluded(target) || self.virtuals.is_absent(target) {
            return Ok(Some(Virtual::Absent(WhyVirtual::Detached)));
        }
        let parent = match self.place(path, false)? {
            Ok(parent) => parent,
            Err(why) => return Ok(Some(Virtual::Absent(why))),
        };
        let failed = |source: Errno| Error::file("link", path, source);
        let Ok(target_parent) = self.parent(target)? else {
            return Ok(Some(Virtual::Absent(WhyVirtual::Detached)));
        };
        let stat = disk::stat_at(&*target_parent, target_name).map_err(failed)?;
        // Hostile-input rule X5: a hard link must not lead to what is ours.
        if self.exclusions.guards(&stat) {
            return Ok(Some(Virtual::Absent(WhyVirtual::Detached)));
        }
        let is_linked = disk::stat_at(&*parent, name).is_ok_and(|at| at.inode() == stat.inode());
        if !is_linked {
            let made = self.make(&parent, name, path, |parent, name| {
                let flags = AtFlags::empty();
                rustix::fs::linkat(&*target_parent, target_name, parent, name, flags)
            })?;
            if let Err(why) = made {
                return Ok(Some(Virtual::Absent(why)));
            }
        }
        Ok(self.virtuals.get(target).cloned())
    }

    /// A hard link that takes the place of a directory above its own target: the target must be saved from the removal.
    fn link_over(&mut self, path: &ImagePath, target: &ImagePath, effect: &Effect) -> Outcome {
        let saved = path.parent().unwrap_or_default().join(SAVED_NAME);
        let outcome = self.link(&saved, Some(target))?;
        for path in &effect.removed {
            self.remove(path)?;
        }
        if let Some(Virtual::Absent(_)) = outcome {
            return Ok(outcome);
        }
        let (parent, Some(name)) = (self.place(path, false)?, path.file_name()) else {
            return Ok(None);
        };
        let failed = |source: Errno| Error::file("rename", &saved, source);
        let from = self.root.parent(&saved).map_err(failed)?;
        match parent {
            Ok(parent) => {
                rustix::fs::renameat(&*from, SAVED_NAME, &*parent, name).map_err(failed)?;
                Ok(outcome)
            }
            Err(why) => {
                let flags = AtFlags::empty();
                rustix::fs::unlinkat(&*from, SAVED_NAME, flags).map_err(failed)?;
                Ok(Some(Virtual::Absent(why)))
            }
        }
    }

    /// Makes something that must not be there yet. What the tree does not know of is removed first, unless it is protected.
    fn make<T>(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        path: &ImagePath,
        make: impl Fn(&OwnedFd, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<Result<T, WhyVirtual>, Error> {
        let mut result = make(parent, name);
        if matches!(result, Err(Errno::EXIST)) {
            self.root.forget(path);
            let removed =
                Remover::new(self.root, self.exclusions).remove(parent.as_fd(), name, path)?;
            if !removed {
                return Ok(Err(WhyVirtual::Pinned));
            }
            result = make(parent, name);
        }
        match result {
            Ok(made) => Ok(Ok(made)),
            Err(error) if is_made_impossible(error) => Ok(Err(WhyVirtual::Refused)),
            Err(error) => Err(Error::file("make", path, error)),
        }
    }
}

/// What the kernel says to users who may not (devices), to filesystems that cannot (links), about mounts in the way (T-UNPACK-11), and to link texts that
/// no disk can hold.
fn is_made_impossible(error: Errno) -> bool {
    matches!(
        error,
        Errno::PERM
            | Errno::NOTSUP
            | Errno::NOSYS
            | Errno::INVAL
            | Errno::MLINK
            | Errno::XDEV
            | Errno::BUSY
            | Errno::NAMETOOLONG
    )
}

/// Reads the content of a file that is as long as it should be, and sends it on piece by piece; false when it was not taken.
fn send_pieces(
    content: &mut dyn Read,
    path: &ImagePath,
    expected: u64,
    buffer: impl Fn() -> Vec<u8>,
    send: impl Fn(Vec<u8>) -> bool,
) -> Result<bool, Error> {
    let mut actual = 0;
    loop {
        let mut piece = buffer();
        piece.resize(BUFFER, 0);
        let count = read(content, &mut piece, path)?;
        if count == 0 {
            break;
        }
        actual += count as u64;
        piece.truncate(count);
        if !send(piece) {
            return Ok(false);
        }
    }
    if actual == expected {
        return Ok(true);
    }
    let path = path.clone();
    Err(Error::ContentSize {
        path,
        expected,
        actual,
    })
}

/// Reads what there is of a file's content; nothing at its end.
fn read(content: &mut dyn Read, buffer: &mut [u8], path: &ImagePath) -> Result<usize, Error> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => {
                return outcome.map_err(|source| Error::ReadContent {
                    path: path.clone(),
                    source,
                });
            }
        }
    }
}

fn died(path: &ImagePath) -> Error {
    Error::ReadContent {
        path: path.clone(),
        source: std::io::Error::other("a thread that writes files died"),
    }
}

/// Reads the content of a file that is as long as it should be.
fn read_whole(
    content: &mut dyn Read,
    path: &ImagePath,
    expected: u64,
    into: &mut Vec<u8>,
) -> Result<(), Error> {
    into.reserve(usize::try_from(expected).unwrap_or_default());
    let count = content.take(expected).read_to_end(into);
    let failed = |source| {
        let path = path.clone();
        Error::ReadContent { path, source }
    };
    let mut actual = count.map_err(failed)? as u64;
    // There is hardly ever more, and a buffer for it costs more than a look.
    if read(content, &mut [0], path)? > 0 {
        actual += 1 + std::io::copy(content, &mut std::io::sink()).map_err(failed)?;
    }
    if actual != expected {
        let path = path.clone();
        return Err(Error::ContentSize {
            path,
            expected,
            actual,
        });
    }
    Ok(())
}

/// What was read of a file is told to the tree.
fn teach(tree: &mut Tree, path: &ImagePath, digest: Option<Digest>) {
    let Some(digest) = digest else { return };
    let Some(id) = tree.lookup(path) else { return };
    if let Some(content) = tree.node_mut(id).file_mut() {
        content.identity = ContentIdentity::Sha256(digest);
    }
}

/// The permissions are those that it shall have in the end, as far as nothing depends on who owns it, and its owner may write.
fn create_file(parent: &OwnedFd, name: &[u8], mode: Mode) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::from_raw_mode(mode.bits() & 0o777 | 0o600);
    rustix::fs::openat(parent, name, flags, mode)
}

fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn partial(refused: Refused) -> Option<Virtual> {
    (!refused.is_empty()).then_some(Virtual::Partial(refused))
}
