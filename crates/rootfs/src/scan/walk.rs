//! Visits every directory of a root, several at a time.

use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use kigumi_layer::ImagePath;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::names::Names;
use crate::disk::{self, Stat};
use crate::{Error, Exclusions, RootDir};

/// Longest path that the kernel takes, and so the deepest directory that can be opened by its path.
const PATH_MAX: usize = 4095;
/// More threads than this wait for each other in the kernel.
const THREADS: usize = 4;

/// A directory that was opened and looked at. Who wants the names in it asks for them, and looks at what they stand for one by one: there may be more of
/// them than there is room for.
pub(crate) struct Directory<'a, T> {
    pub(crate) path: &'a ImagePath,
    pub(crate) fd: OwnedFd,
    /// From before anything in it was listed or looked at.
    pub(crate) stat: Stat,
    pub(crate) tag: T,
    exclusions: &'a Exclusions,
    /// Below a directory that is not pinned nothing is excluded by name, so nothing need be looked up.
    is_pinned: bool,
    opened: Opened,
}

/// How directories are opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opened {
    /// To be listed.
    ForNames,
    /// Most will not be listed: what overlayfs does for those that are is saved.
    AsPlaces,
}

impl Opened {
    const fn access(self) -> OFlags {
        match self {
            Self::ForNames => OFlags::RDONLY,
            Self::AsPlaces => OFlags::PATH,
        }
    }
}

/// What a name of a directory stands for.
pub(crate) enum Looked {
    /// Nothing: it is gone since it was listed, as if it had never been there.
    Gone,
    /// What is nobody's business.
    Hidden,
    There(Stat),
}

impl<T> Directory<'_, T> {
    /// The names in it, read now.
    pub(super) fn list<'n>(&self, names: &'n mut Names) -> Result<&'n Names, Error> {
        match self.opened {
            Opened::ForNames => names.read(&self.fd),
            Opened::AsPlaces => disk::open_at(&self.fd, b".", OFlags::RDONLY | OFlags::DIRECTORY)
                .and_then(|fd| names.read(fd)),
        }
        .map_err(|source| Error::file("look into", self.path, source))?;
        Ok(names)
    }

    /// Whether something in it is excluded by name, or something below that.
    pub(super) fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    pub(crate) fn look(&self, name: &[u8]) -> Result<Looked, Error> {
        let stat = match disk::stat_at(&self.fd, name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Looked::Gone),
            Err(source) => return Err(Error::file("look into", self.path, source)),
        };
        let is_excluded = || self.is_pinned && self.exclusions.is_excluded(&self.path.join(name));
        if self.exclusions.guards(&stat) || is_excluded() {
            return Ok(Looked::Hidden);
        }
        Ok(Looked::There(stat))
    }

    /// All that is there, without what is excluded.
    pub(crate) fn entries<'n>(
        &self,
        names: &'n mut Names,
    ) -> Result<impl Iterator<Item = Result<(&'n [u8], Stat), Error>>, Error> {
        let names = self.list(names)?;
        Ok(names.in_order().filter_map(|name| match self.look(name) {
            Ok(Looked::There(stat)) => Some(Ok((name, stat))),
            Ok(Looked::Gone | Looked::Hidden) => None,
            Err(error) => Some(Err(error)),
        }))
    }
}

/// Directories to visit next, each with its tag.
pub(crate) type Next<T> = Vec<(ImagePath, T)>;

struct Queue<T> {
    waiting: Next<T>,
    /// Directories being visited, which may add to `waiting`.
    busy: usize,
    /// Threads that have nothing to do.
    idle: usize,
    failed: Option<Error>,
}

/// Calls `visit` for the root and for every directory that a visit asks for. Each thread has an accumulator of its own, and room for the names of one directory.
///
/// Directories are opened by path from the root (no link followed, no mount entered), so there is one descriptor per thread whatever the depth.
pub(crate) fn walk<T, A>(
    root: &RootDir,
    exclusions: &Exclusions,
    (start, opened): (T, Opened),
    visit: impl Fn(&Directory<'_, T>, &mut A, &mut Names) -> Result<Next<T>, Error> + Sync,
) -> Result<Vec<A>, Error>
where
    T: Copy + Send,
    A: Default + Send,
{
    let queue = Mutex::new(Queue {
        waiting: vec![(ImagePath::root(), start)],
        busy: 0,
        idle: 0,
        failed: None,
    });
    let changed = Condvar::new();
    let threads = std::thread::available_parallelism()
        .map_or(1, NonZero::get)
        .clamp(2, THREADS);
    let work = || {
        let mut found = A::default();
        let mut names = Names::default();
        let mut next = None;
        while let Some((path, tag)) = exchange(&queue, &changed, next) {
            let directory = open(root, exclusions, &path, (tag, opened));
            next = Some(directory.and_then(|directory| match directory {
                Some(directory) => visit(&directory, &mut found, &mut names),
                None => Ok(Vec::new()),
            }));
            names.clear();
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

/// Calls `visit` for everything that is no directory. What lies in a directory too deep to be opened by its path is left out.
pub(crate) fn each_file<A>(
    root: &RootDir,
    exclusions: &Exclusions,
    visit: impl Fn(&Directory<'_, ()>, (&[u8], &Stat), &mut A) + Sync,
) -> Result<Vec<A>, Error>
where
    A: Default + Send,
{
    let start = ((), Opened::ForNames);
    walk(root, exclusions, start, |directory, found, names| {
        let mut next = Vec::new();
        for entry in directory.entries(names)? {
            let (name, stat) = entry?;
            if !stat.is_directory() {
                visit(directory, (name, &stat), found);
            } else if directory.path.as_relative().len() + name.len() < PATH_MAX {
                next.push((directory.path.join(name), ()));
            }
        }
        Ok(next)
    })
}

fn lock<T>(queue: &Mutex<Queue<T>>) -> MutexGuard<'_, Queue<T>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives what a visit asks for, if there was one, and takes the next directory; `None` when all are done or one failed.
fn exchange<T>(
    queue: &Mutex<Queue<T>>,
    changed: &Condvar,
    found: Option<Result<Next<T>, Error>>,
) -> Option<(ImagePath, T)> {
    let mut held = lock(queue);
    if let Some(found) = found {
        held.busy -= 1;
        match found {
            Ok(next) => held.waiting.extend(next),
            Err(error) => {
                held.failed.get_or_insert(error);
            }
        }
    }
    loop {
        if held.failed.is_some() || held.waiting.is_empty() && held.busy == 0 {
            changed.notify_all();
            return None;
        }
        if let Some(next) = held.waiting.pop() {
            held.busy += 1;
            // Who is woken does the same. A call into the kernel for every directory would be one too many.
            if held.idle > 0 && !held.waiting.is_empty() {
                changed.notify_one();
            }
            return Some(next);
        }
        held.idle += 1;
        held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        held.idle -= 1;
    }
}

/// `None` for a mount that nobody knew of.
fn open<'a, T>(
    root: &RootDir,
    exclusions: &'a Exclusions,
    path: &'a ImagePath,
    (tag, opened): (T, Opened),
) -> Result<Option<Directory<'a, T>>, Error> {
    let failed = |source: Errno| Error::file("look into", path, source);
    if path.as_relative().len() > PATH_MAX {
        let directory = path.parent().unwrap_or_default();
        return Err(Error::PathTooLong { directory });
    }
    let fd = match root.open_directory(path, opened.access()) {
        Ok(fd) => fd,
        Err(Errno::XDEV) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    Ok(Some(Directory {
        path,
        stat: disk::stat_of_fd(&fd).map_err(failed)?,
        tag,
        exclusions,
        is_pinned: exclusions.is_pinned(path),
        opened,
        fd,
    }))
}
