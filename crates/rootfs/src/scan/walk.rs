//! Visits every directory of a root, several at a time.

use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use kigumi_layer::ImagePath;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::disk::{self, Stat};
use crate::{Error, Exclusions, RootDir};

/// Longest path that the kernel takes, and so the deepest directory that can be opened by its path.
pub(crate) const PATH_MAX: usize = 4095;
/// More threads than this wait for each other in the kernel.
const THREADS: usize = 4;

/// A directory and what is in it, without what is excluded.
pub(crate) struct Directory<'a, T> {
    pub(crate) path: &'a ImagePath,
    pub(crate) fd: &'a OwnedFd,
    pub(crate) stat: Stat,
    pub(crate) entries: Vec<(Box<[u8]>, Stat)>,
    /// Names that are there and nobody's business.
    pub(crate) hidden: Vec<Box<[u8]>>,
    pub(crate) tag: T,
}

/// Directories to visit next, each with its tag.
pub(crate) type Next<T> = Vec<(ImagePath, T)>;

struct Queue<T> {
    waiting: Next<T>,
    /// Directories being visited, which may add to `waiting`.
    busy: usize,
    failed: Option<Error>,
}

/// Calls `visit` for the root and for every directory that a visit asks for. Each thread has an accumulator of its own.
///
/// Directories are opened by path from the root (no link followed, no mount entered), so there is one descriptor per thread whatever the depth.
pub(crate) fn walk<T, A>(
    root: &RootDir,
    exclusions: &Exclusions,
    start: T,
    visit: impl Fn(&Directory<'_, T>, &mut A) -> Result<Next<T>, Error> + Sync,
) -> Result<Vec<A>, Error>
where
    T: Copy + Send,
    A: Default + Send,
{
    let queue = Mutex::new(Queue {
        waiting: vec![(ImagePath::root(), start)],
        busy: 0,
        failed: None,
    });
    let changed = Condvar::new();
    let threads = std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .clamp(2, THREADS);
    let work = || {
        let mut found = A::default();
        while let Some((path, tag)) = take(&queue, &changed) {
            let next = look(root, exclusions, &path, tag).and_then(|directory| match directory {
                Some((fd, directory)) => visit(&directory.with(&path, &fd), &mut found),
                None => Ok(Vec::new()),
            });
            give(&queue, &changed, next);
        }
        found
    };
    let found = std::thread::scope(|scope| {
        // Some processes may have no further thread: at the limit of the pod, or whose children get another process namespace.
        let more = |_| Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).filter_map(more).collect();
        let mut found = vec![work()];
        for other in others {
            match other.join() {
                Ok(more) => found.push(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found
    });
    match lock(&queue).failed.take() {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

fn lock<T>(queue: &Mutex<Queue<T>>) -> MutexGuard<'_, Queue<T>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next directory; `None` when all are done or one failed.
fn take<T>(queue: &Mutex<Queue<T>>, changed: &Condvar) -> Option<(ImagePath, T)> {
    let mut held = lock(queue);
    loop {
        if held.failed.is_some() {
            return None;
        }
        if let Some(next) = held.waiting.pop() {
            held.busy += 1;
            return Some(next);
        }
        if held.busy == 0 {
            return None;
        }
        held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
    }
}

fn give<T>(queue: &Mutex<Queue<T>>, changed: &Condvar, next: Result<Next<T>, Error>) {
    let mut held = lock(queue);
    held.busy -= 1;
    match next {
        Ok(next) => held.waiting.extend(next),
        Err(error) => {
            held.failed.get_or_insert(error);
        }
    }
    drop(held);
    changed.notify_all();
}

/// What was read of a directory, before its path and descriptor are lent to it.
struct Read<T> {
    stat: Stat,
    entries: Vec<(Box<[u8]>, Stat)>,
    hidden: Vec<Box<[u8]>>,
    tag: T,
}

impl<T> Read<T> {
    fn with<'a>(self, path: &'a ImagePath, fd: &'a OwnedFd) -> Directory<'a, T> {
        Directory {
            path,
            fd,
            stat: self.stat,
            entries: self.entries,
            hidden: self.hidden,
            tag: self.tag,
        }
    }
}

/// `None` for a mount that nobody knew of.
fn look<T>(
    root: &RootDir,
    exclusions: &Exclusions,
    path: &ImagePath,
    tag: T,
) -> Result<Option<(OwnedFd, Read<T>)>, Error> {
    let failed = |source: Errno| Error::file("look into", path, source);
    if path.as_relative().len() > PATH_MAX {
        let directory = path.parent().unwrap_or_default();
        return Err(Error::PathTooLong { directory });
    }
    let fd = match root.open_directory(path, OFlags::RDONLY) {
        Ok(fd) => fd,
        Err(Errno::XDEV) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut read = Read {
        stat: disk::stat_of_fd(&fd).map_err(failed)?,
        entries: Vec::new(),
        hidden: Vec::new(),
        tag,
    };
    // Below a directory that is not pinned nothing is excluded by name, so nothing need be looked up.
    let is_pinned = exclusions.is_pinned(path);
    for name in disk::names(&fd).map_err(failed)? {
        let stat = match disk::stat_at(&fd, &name) {
            Ok(stat) => stat,
            // Gone since it was listed: as if it had never been there.
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(failed(error)),
        };
        let is_hidden =
            exclusions.guards(&stat) || is_pinned && exclusions.is_excluded(&path.join(&name));
        if is_hidden {
            read.hidden.push(name);
        } else {
            read.entries.push((name, stat));
        }
    }
    Ok(Some((fd, read)))
}
