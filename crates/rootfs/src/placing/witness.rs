use std::path::Path;

use kigumi_layer::{ImagePath, Timestamp};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::disk::{self, Stat};
use crate::root_dir::Crossing;
use crate::scan::wait_past;
use crate::{Error, RootDir};

/// Knows how something looked when it was placed, by the latest change time in it, and finds what was changed since. No content is read.
#[derive(Debug)]
pub struct Witness {
    thing: Thing,
    /// Where it was placed, for messages.
    path: ImagePath,
    /// Below it, and placed there by others.
    others: Vec<ImagePath>,
    newest: Timestamp,
}

#[derive(Debug)]
enum Thing {
    Directory(Box<RootDir>),
    /// Open, so that it can be looked at when it has no name any more.
    File(std::os::fd::OwnedFd),
}

/// What a walk through a placed directory finds.
#[derive(Default)]
struct Found {
    newest: Timestamp,
    /// The first that is later than what was asked for; of directories the innermost.
    entry: Option<ImagePath>,
    directory: Option<ImagePath>,
}

impl Witness {
    /// `clock` is a directory on the same filesystem.
    pub(super) fn new(
        host: &Path,
        path: &ImagePath,
        others: Vec<ImagePath>,
        clock: &RootDir,
    ) -> Result<Self, Error> {
        let failed = |source: Errno| Error::file("look at what was placed at", path, source);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(host, flags, Mode::empty()).map_err(failed)?;
        let stat = disk::stat_of_fd(&fd).map_err(failed)?;
        let mut witness = Self {
            thing: if stat.is_directory() {
                Thing::Directory(Box::new(RootDir::open_with(host, Crossing::Refused, None)?))
            } else {
                Thing::File(fd)
            },
            path: path.clone(),
            others,
            newest: Timestamp {
                seconds: i64::MAX,
                nanoseconds: 0,
            },
        };
        witness.newest = witness.walk()?.newest;
        // What the process does gets a later time than this, on any clock that does not run backwards.
        wait_past(clock, witness.newest)?;
        Ok(witness)
    }

    /// Something that was changed, made or removed in what was placed; of what was removed, the directory is named.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn changed(&self) -> Result<Option<ImagePath>, Error> {
        let found = self.walk()?;
        Ok(found.entry.or(found.directory))
    }

    fn walk(&self) -> Result<Found, Error> {
        let mut found = Found::default();
        let root = match &self.thing {
            Thing::File(fd) => {
                let stat = disk::stat_of_fd(fd)
                    .map_err(|source| Error::file("look at", &self.path, source))?;
                self.note(&mut found, &ImagePath::root(), &stat);
                return Ok(found);
            }
            Thing::Directory(root) => root,
        };
        root.forget(&ImagePath::root());
        let mut pending = vec![ImagePath::root()];
        while let Some(directory) = pending.pop() {
            let failed =
                |source: Errno| Error::file("look into", &self.path.join_path(&directory), source);
            let fd = match root.open_directory(&directory, OFlags::RDONLY) {
                Ok(fd) => fd,
                // Removed with all above it: the directory that lost it shows that.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(failed(error)),
            };
            self.note(
                &mut found,
                &directory,
                &disk::stat_of_fd(&fd).map_err(failed)?,
            );
            let mut names = match disk::names(&fd) {
                // A directory that was removed while it was open has no entries.
                Err(Errno::NOENT) => Vec::new(),
                names => names.map_err(failed)?,
            };
            names.sort_by(|a, b| b.cmp(a));
            for name in names {
                let path = directory.join(&name);
                if self.others.contains(&path) {
                    continue;
                }
                let stat = disk::stat_at(&fd, &name).map_err(failed)?;
                if stat.is_directory() {
                    pending.push(path);
                } else {
                    self.note(&mut found, &path, &stat);
                }
            }
        }
        Ok(found)
    }

    fn note(&self, found: &mut Found, path: &ImagePath, stat: &Stat) {
        let ctime = stat.identity.ctime;
        found.newest = found.newest.max(ctime);
        if ctime <= self.newest {
            return;
        }
        let path = self.path.join_path(path);
        if !stat.is_directory() {
            found.entry.get_or_insert(path);
        } else if found
            .directory
            .as_ref()
            .is_none_or(|known| path.starts_with(known))
        {
            found.directory = Some(path);
        }
    }
}
