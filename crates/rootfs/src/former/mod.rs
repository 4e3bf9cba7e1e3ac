//! What a root was before a build, kept aside and given back (T-CLEAN, ADR 21).
//!
//! ```text
//! PLACE/journal   whose root this is, and how far things are; locked as long as somebody is at work
//! PLACE/root      what lay on the root, by its own paths; directories that had to stay there, by their likeness
//! ```

mod journal;
mod leave;
mod restore;

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use kigumi_layer::{ImagePath, Metadata};
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use crate::disk::{self, Stat};
use crate::root_dir::Crossing;
use crate::unpack::{Refused, attributes};
use crate::wipe::Remover;
use crate::{Error, Exclusions, Mounts, Protection, RootDir, WritableRoot, wipe};

use journal::{Journal, Stamp, State};

const JOURNAL: &[u8] = b"journal";
const CONTENT: &[u8] = b"root";

/// Why what a killed build left is not given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhyForeign {
    /// Another boot, or another mount of the root: hostile-input rule D10.
    ElsewhereMade,
    /// Its journal is missing or no journal.
    Unreadable,
}

impl std::fmt::Display for WhyForeign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ElsewhereMade => "it is of another container, or of the time before a restart",
            Self::Unreadable => "its journal cannot be understood",
        })
    }
}

/// The former content of a root: moved aside before a build, and given back after it.
///
/// Everything is moved by rename; a directory that overlayfs has in a lower layer, or that holds a mount, is made anew and what is in it moved. Nothing
/// that is excluded is touched. Whatever happens to this process, the journal tells the next one how to go on.
#[derive(Debug)]
pub struct Former {
    place: PathBuf,
    /// `PLACE`.
    directory: RootDir,
    journal: Journal,
}

impl Former {
    /// Makes the directory `place`, which must lie on the mount of the root, and holds it until this process ends. Protect it before anything is moved.
    /// `work` is a directory that is to go with a build that is killed.
    ///
    /// # Errors
    /// [`Error`]; there must be nothing at `place`: [`Former::left_over`] tells.
    pub fn begin(place: &Path, root: &WritableRoot, work: &Path) -> Result<Self, Error> {
        let stamp = Stamp::now(root.host_path())?;
        rustix::fs::mkdir(place, rustix::fs::Mode::RWXU).map_err(at(place))?;
        let directory = RootDir::open_with(place, Crossing::Refused, None)?;
        let journal = Journal::create(&directory, &stamp, work).map_err(at(place))?;
        let former = Self {
            place: place.to_owned(),
            directory,
            journal,
        };
        former.lock()?;
        rustix::fs::mkdirat(&former.directory, CONTENT, rustix::fs::Mode::RWXU)
            .map_err(at(place))?;
        Ok(former)
    }

    /// What a build that was killed has left at `place`.
    ///
    /// # Errors
    /// [`Error::FormerInUse`] when a build is still at it, [`Error::FormerForeign`] when it is not of this root and this boot.
    pub fn left_over(place: &Path, root: &WritableRoot) -> Result<Option<Self>, Error> {
        let foreign = |why| Error::FormerForeign {
            place: place.to_owned(),
            why,
        };
        match rustix::fs::lstat(place) {
            Ok(_) => {}
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(at(place)(error)),
        }
        let directory = RootDir::open_with(place, Crossing::Refused, None)?;
        if disk::stat_at(&directory, JOURNAL).is_err() {
            // Killed before the first entry, or after the last.
            if disk::stat_at(&directory, CONTENT).is_ok() {
                return Err(foreign(WhyForeign::Unreadable));
            }
            rustix::fs::rmdir(place).map_err(at(place))?;
            return Ok(None);
        }
        let (journal, stamp) = Journal::open(&directory)
            .map_err(at(place))?
            .ok_or_else(|| foreign(WhyForeign::Unreadable))?;
        let former = Self {
            place: place.to_owned(),
            directory,
            journal,
        };
        former.lock()?;
        if stamp != Stamp::now(root.host_path())? {
            return Err(foreign(WhyForeign::ElsewhereMade));
        }
        Ok(Some(former))
    }

    /// Whether something waits to be given back.
    pub fn is_away(&self) -> bool {
        match self.journal.state() {
            State::Begun => false,
            State::Leaving | State::Away | State::Returning => true,
        }
    }

    fn lock(&self) -> Result<(), Error> {
        match self.journal.file().try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(Error::FormerInUse {
                place: self.place.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(Error::OpenHost {
                path: self.place.clone(),
                source,
            }),
        }
    }

    fn content(&self) -> Result<RootDir, Error> {
        let name = String::from_utf8_lossy(CONTENT);
        RootDir::open_with(&self.place.join(name.as_ref()), Crossing::Refused, None)
    }

    fn note(&mut self, state: State) -> Result<(), Error> {
        self.journal.note(state).map_err(at(&self.place))
    }

    /// Moves everything out of the root that is not excluded. The root is then as empty as a wipe would leave it, but for directories that could not be
    /// moved; wipe it.
    ///
    /// # Errors
    /// [`Error`] with the file that could not be moved; [`Former::give_back`] undoes what was done.
    pub fn move_aside(
        &mut self,
        root: &WritableRoot,
        exclusions: &mut Exclusions,
    ) -> Result<u64, Error> {
        exclusions.refresh()?;
        let content = self.content()?;
        let path = ImagePath::root();
        let found = root
            .open_directory(&path, OFlags::RDONLY)
            .and_then(|fd| metadata_of(&fd))
            .map_err(|source| Error::file("look at", &path, source))?;
        let dressed = || dress(&content, &path, &found);
        dressed()?;
        self.note(State::Leaving)?;
        let moved = leave::leave(root, exclusions, &content)?;
        dressed()?;
        self.note(State::Away)?;
        Ok(moved)
    }

    /// Empties the root and puts everything back as it was; or, when the move had not come to its end, what had been moved.
    ///
    /// # Errors
    /// [`Error`] with the file that could not be put back. What is not back yet is still at its place, for the next start to go on with.
    pub fn give_back(
        mut self,
        root: &WritableRoot,
        exclusions: &mut Exclusions,
    ) -> Result<(), Error> {
        let state = self.journal.state();
        let is_done = match state {
            State::Begun => true,
            State::Leaving | State::Away => false,
            // Killed while it was cleared.
            State::Returning => {
                disk::stat_at(&self.directory, CONTENT).is_err_and(|error| error == Errno::NOENT)
            }
        };
        let metadata = if is_done {
            None
        } else {
            // Before anything is removed: a RUN may have taken it away.
            let content = self.content()?;
            if state == State::Away {
                wipe(root, exclusions)?;
                self.note(State::Returning)?;
            }
            exclusions.refresh()?;
            root.forget(&ImagePath::root());
            Some(restore::restore(root, exclusions, &content)?)
        };
        self.clear()?;
        // Names came and went in the root until now.
        match metadata {
            Some(metadata) => dress(root, &ImagePath::root(), &metadata),
            None => Ok(()),
        }
    }

    /// The directory of a killed build's work files goes with it.
    ///
    /// # Errors
    /// [`Error`] with the file that could not be removed.
    pub fn remove_work(&self) -> Result<(), Error> {
        let work = self.journal.work();
        let (Some(parent), Some(name)) = (work.parent(), work.file_name()) else {
            return Ok(());
        };
        let parent = RootDir::open_with(parent, Crossing::Refused, None)?;
        remove(&parent, name.as_encoded_bytes())
    }

    fn clear(self) -> Result<(), Error> {
        remove(&self.directory, CONTENT)?;
        // Last: without a journal there is nothing to give back.
        remove(&self.directory, JOURNAL)?;
        rustix::fs::rmdir(&self.place).map_err(at(&self.place))
    }
}

fn at(place: &Path) -> impl Fn(Errno) -> Error {
    move |source| Error::OpenHost {
        path: place.to_owned(),
        source: source.into(),
    }
}

fn remove(directory: &RootDir, name: &[u8]) -> Result<(), Error> {
    let exclusions = Exclusions::new(directory, &Protection::default())?;
    let path = ImagePath::root().join(name);
    Remover::new(directory, &exclusions)
        .remove(directory, name, &path)
        .map(drop)
}

/// All that is known of an open directory.
fn metadata_of(directory: &std::os::fd::OwnedFd) -> rustix::io::Result<Metadata> {
    use std::os::fd::AsFd;
    let stat = disk::stat_of_fd(directory)?;
    Ok(metadata(&stat, disk::xattrs_of(directory.as_fd())?))
}

fn metadata(stat: &Stat, xattrs: kigumi_layer::Xattrs) -> Metadata {
    Metadata {
        mode: stat.identity.permissions(),
        uid: stat.identity.uid,
        gid: stat.identity.gid,
        mtime: stat.identity.mtime,
        xattrs,
    }
}

/// Gives a directory everything that it had, its time last.
fn dress(root: &RootDir, path: &ImagePath, metadata: &Metadata) -> Result<(), Error> {
    let failed = |source: Errno| Error::file("give back its owner, mode and time to", path, source);
    let fd = root.open_directory(path, OFlags::RDONLY).map_err(failed)?;
    // What a user may not set, that user cannot have changed.
    let mut refused = Refused::default();
    attributes::dress_directory(&fd, metadata, &mut refused).map_err(failed)?;
    attributes::dress(&fd, metadata, &mut refused).map_err(failed)?;
    rustix::fs::futimens(&fd, &attributes::times(metadata.mtime)).map_err(failed)
}

/// Takes an empty directory away.
fn remove_empty(holder: &impl std::os::fd::AsFd, name: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::unlinkat(holder, name, AtFlags::REMOVEDIR)
}
