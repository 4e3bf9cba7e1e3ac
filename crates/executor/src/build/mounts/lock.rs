//! Files that builds lock, and waiting for them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use kigumi_run::Cancel;

use crate::build::workshop::Workshop;
use crate::error::BuildError;

/// How often a lock that another build holds is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Who else may hold a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Alone,
    Shared,
}

/// A file to lock. Whatever was locked is free again when this is dropped.
#[derive(Debug)]
pub(super) struct LockFile(File);

/// Closing the file alone would not do: a process that was started meanwhile has it open too, until it runs its program.
impl Drop for LockFile {
    fn drop(&mut self) {
        // Where this fails, closing is what is left.
        let _unlocked = self.0.unlock();
    }
}

impl LockFile {
    /// Opens the file, or makes it.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.open(path).map(Self)
    }

    /// Opens a file that is there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    /// Locks it, unless another build's lock forbids that.
    pub(super) fn try_lock(&self, hold: Hold) -> io::Result<bool> {
        let tried = match hold {
            Hold::Alone => self.0.try_lock(),
            Hold::Shared => self.0.try_lock_shared(),
        };
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Locks it as soon as nobody else's lock forbids that, or the build is told to end.
    pub(super) fn lock(&self, hold: Hold, id: &str, workshop: &Workshop) -> Result<(), BuildError> {
        let mut is_told = false;
        while !self
            .try_lock(hold)
            .map_err(BuildError::cache(id, "lock it"))?
        {
            if !is_told {
                is_told = true;
                workshop.events.warn(format!(
                    "waiting for the cache `{id}`, which another build uses"
                ));
            }
            wait(&workshop.cancel)?;
        }
        Ok(())
    }
}

fn wait(cancel: &Cancel) -> Result<(), BuildError> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let time = Timespec {
        tv_sec: 0,
        tv_nsec: RETRY.subsec_nanos().into(),
    };
    // However the wait ends, the caller tries again.
    let _ended = poll(&mut [PollFd::new(cancel, PollFlags::IN)], Some(&time));
    match cancel.signal() {
        Some(signal) => Err(BuildError::Cancelled { signal }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock_file() -> (tempfile::TempDir, impl Fn() -> LockFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        (directory, move || LockFile::make(&path).unwrap())
    }

    #[test]
    fn any_number_hold_a_shared_lock_and_one_holds_it_alone() {
        let (_directory, open) = lock_file();
        let (first, second, third) = (open(), open(), open());
        assert!(first.try_lock(Hold::Shared).unwrap() && second.try_lock(Hold::Shared).unwrap());
        assert!(!third.try_lock(Hold::Alone).unwrap());
        drop((first, second));
        assert!(third.try_lock(Hold::Alone).unwrap());
        assert!(!open().try_lock(Hold::Shared).unwrap());
    }

    #[test]
    fn a_lock_is_free_when_it_is_dropped_though_a_new_process_has_the_file() {
        let (_directory, open) = lock_file();
        let lock = open();
        assert!(lock.try_lock(Hold::Alone).unwrap());
        let of_new_process = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(open().try_lock(Hold::Alone).unwrap());
        drop(of_new_process);
    }
}
