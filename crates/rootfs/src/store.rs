use std::path::{Path, PathBuf};

use kigumi_layer::ImagePath;
use rustix::fs::RenameFlags;
use rustix::io::Errno;

use crate::root_dir::Crossing;
use crate::wipe::Remover;
use crate::{Error, Exclusions, Protection, RootDir, disk};

/// The directory that is kept.
const CONTENT: &[u8] = b"content";
/// Its successor, until it is complete.
const NEW: &[u8] = b"new";
/// What it was, for the moment of the exchange.
const OLD: &[u8] = b"old";

/// A directory that is kept from build to build and replaced as a whole: whoever opens it finds what one build left, complete.
///
/// ```text
/// content   what is kept
/// new       being written: rubbish if nobody is at it
/// old       the former content while both are exchanged: it is put back if `content` is missing
/// ```
///
/// Only one process at a time may call [`Store::recover`], [`Store::begin`] and [`Store::commit`]: the caller locks.
#[derive(Debug)]
pub struct Store {
    directory: RootDir,
}

impl Store {
    /// Opens a directory that holds nothing but what this type makes, and files of the caller.
    ///
    /// # Errors
    /// [`Error::OpenHost`].
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            directory: RootDir::open_with(directory, Crossing::Refused, None)?,
        })
    }

    /// Where the content is.
    pub fn content(&self) -> PathBuf {
        self.at(CONTENT)
    }

    fn at(&self, name: &[u8]) -> PathBuf {
        let name = String::from_utf8_lossy(name);
        self.directory.host_path().join(name.as_ref())
    }

    /// Finishes or takes back what a killed process had begun. Tells whether there is any content.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn recover(&self) -> Result<bool, Error> {
        let there = |name: &[u8]| disk::stat_at(&self.directory, name).is_ok();
        if there(OLD) {
            if there(CONTENT) {
                self.remove(OLD)?;
            } else {
                self.rename(OLD, CONTENT)?;
            }
        }
        Ok(there(CONTENT))
    }

    /// Makes an empty directory for new content.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn begin(&self) -> Result<PathBuf, Error> {
        self.remove(NEW)?;
        rustix::fs::mkdirat(&self.directory, NEW, rustix::fs::Mode::RWXU)
            .map_err(failed("make", NEW))?;
        Ok(self.at(NEW))
    }

    /// What was written since [`Store::begin`] is the content from now on.
    ///
    /// # Errors
    /// [`Error::File`]; the content is then what it was.
    pub fn commit(&self) -> Result<(), Error> {
        let flags = RenameFlags::EXCHANGE;
        match rustix::fs::renameat_with(&self.directory, NEW, &self.directory, CONTENT, flags) {
            Ok(()) => return self.remove(NEW),
            Err(Errno::NOENT) => return self.rename(NEW, CONTENT),
            // Network filesystems cannot exchange.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            Err(error) => return Err(failed("exchange", CONTENT)(error)),
        }
        if disk::stat_at(&self.directory, CONTENT).is_ok() {
            self.rename(CONTENT, OLD)?;
        }
        self.rename(NEW, CONTENT)?;
        self.remove(OLD)
    }

    fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        rustix::fs::renameat(&self.directory, from, &self.directory, to)
            .map_err(failed("rename", from))
    }

    fn remove(&self, name: &[u8]) -> Result<(), Error> {
        let exclusions = Exclusions::new(&self.directory, &Protection::default())?;
        let path = ImagePath::root().join(name);
        Remover::new(&self.directory, &exclusions)
            .remove(&self.directory, name, &path)
            .map(drop)
    }
}

fn failed(operation: &'static str, name: &[u8]) -> impl Fn(Errno) -> Error {
    let path = ImagePath::root().join(name);
    move |source| Error::file(operation, &path, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, store)
    }

    fn put(store: &Store, text: &str) {
        let new = store.begin().unwrap();
        std::fs::write(new.join("f"), text).unwrap();
        store.commit().unwrap();
    }

    fn text(store: &Store) -> String {
        std::fs::read_to_string(store.content().join("f")).unwrap()
    }

    #[test]
    fn content_is_replaced_as_a_whole_and_nothing_is_left_over() {
        let (directory, store) = store();
        assert!(!store.recover().unwrap());
        for round in ["1", "2", "3"] {
            put(&store, round);
            assert!(store.recover().unwrap());
            assert_eq!(text(&store), round);
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    /// T-MNT-02: a build that is killed leaves the old content or the new one, never a part.
    #[test]
    fn whenever_a_build_is_killed_the_content_is_whole() {
        let (directory, store) = store();
        put(&store, "kept");
        let new = store.begin().unwrap();
        std::fs::write(new.join("half"), "").unwrap();
        assert!(store.recover().unwrap());
        assert_eq!(text(&store), "kept");
        // Between the two renames of a filesystem without exchange.
        store.begin().unwrap();
        store.rename(CONTENT, OLD).unwrap();
        assert!(store.recover().unwrap());
        assert_eq!(text(&store), "kept");
        // After the second one.
        store.rename(CONTENT, OLD).unwrap();
        let new = store.begin().unwrap();
        std::fs::write(new.join("f"), "next").unwrap();
        store.rename(NEW, CONTENT).unwrap();
        assert!(store.recover().unwrap());
        assert_eq!(text(&store), "next");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
