//! Growing temporary files with one writer and any number of readers that start at the beginning and wait for more.
//!
//! The files have no names from the start, so that nothing is left of them after `kill -9`; their space is free when the last
//! handle is dropped, or behind the only reader, once somebody said that it is that. Memory holds one chunk per reader, whatever the size.

mod buffers;
mod read;
mod segments;
mod write;

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kigumi_oci::Digest;
use tokio::sync::Notify;

pub use read::SpoolReader;
pub use write::SpoolWriter;

use crate::Error;
use segments::Segments;

/// What a spool turned out to hold, known at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finished {
    /// The digest of all bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
}

/// Why a spool never came to its end.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the source of the bytes failed")]
pub struct SpoolFailure(#[source] pub Arc<dyn StdError + Send + Sync>);

/// A handle on the bytes; clones share them.
#[derive(Clone, Debug)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    state: Mutex<State>,
    grown: Condvar,
    changed: Notify,
}

#[derive(Debug)]
enum Store {
    Files(Segments),
    Memory(Bytes),
}

#[derive(Debug)]
struct State {
    written: u64,
    /// Whether what was read is given back.
    passes: bool,
    end: Option<Result<Finished, SpoolFailure>>,
}

/// What lies beyond an offset.
enum Ahead {
    Bytes(u64),
    End,
    Nothing,
}

impl Spool {
    /// A spool in files of `directory` that never have a name, and its writer.
    ///
    /// # Errors
    /// [`Error::Spool`] when the first file cannot be created.
    pub fn create(directory: &Path) -> Result<(SpoolWriter, Self), Error> {
        let files = Segments::new(directory).map_err(|source| Error::Spool {
            directory: directory.to_owned(),
            source,
        })?;
        let spool = Self::with(
            Store::Files(files),
            State {
                written: 0,
                passes: false,
                end: None,
            },
        );
        Ok((SpoolWriter::new(spool.clone()), spool))
    }

    /// A finished spool of bytes at hand, in memory: for configs and the like.
    pub fn of_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let finished = Finished {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        Self::with(
            Store::Memory(bytes),
            State {
                written: finished.size,
                passes: false,
                end: Some(Ok(finished)),
            },
        )
    }

    fn with(store: Store, state: State) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                state: Mutex::new(state),
                grown: Condvar::new(),
                changed: Notify::new(),
            }),
        }
    }

    /// How many bytes can be read now.
    pub fn written(&self) -> u64 {
        self.shared.lock().written
    }

    /// From now on the bytes are wanted once more and by one reader: what that has read is given back to the disk, and the memory in which the
    /// kernel keeps it with it. Whoever reads from the beginning later gets an error.
    pub fn pass(&self) {
        self.shared.lock().passes = true;
    }

    /// Whether [`Spool::pass`] was called.
    pub fn passes(&self) -> bool {
        self.shared.lock().passes
    }

    /// What the spool holds, if it has come to its end.
    ///
    /// # Errors
    /// [`SpoolFailure`] when the writer failed.
    pub fn try_finished(&self) -> Result<Option<Finished>, SpoolFailure> {
        self.shared.lock().end.clone().transpose()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// [`SpoolFailure`] when the writer failed.
    pub async fn finished(&self) -> Result<Finished, SpoolFailure> {
        self.wait_until(Self::try_finished).await
    }

    /// Waits for the end, or until there are more than `bytes` bytes: what it holds, if that is its end.
    ///
    /// # Errors
    /// [`SpoolFailure`] when the writer failed.
    pub async fn finished_or_beyond(&self, bytes: u64) -> Result<Option<Finished>, SpoolFailure> {
        let look = |spool: &Self| {
            let finished = spool.try_finished()?;
            Ok((finished.is_some() || spool.written() > bytes).then_some(finished))
        };
        self.wait_until(look).await
    }

    async fn wait_until<T>(
        &self,
        look: impl Fn(&Self) -> Result<Option<T>, SpoolFailure>,
    ) -> Result<T, SpoolFailure> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change between look and wait is not lost.
            changed.as_mut().enable();
            if let Some(seen) = look(self)? {
                return Ok(seen);
            }
            changed.await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain data that every critical section leaves whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.grown.notify_all();
        self.changed.notify_waiters();
    }

    fn ahead(state: &State, offset: u64) -> Result<Ahead, SpoolFailure> {
        let available = state.written.saturating_sub(offset);
        match &state.end {
            Some(Err(failure)) => Err(failure.clone()),
            _ if available > 0 => Ok(Ahead::Bytes(available)),
            Some(Ok(_)) => Ok(Ahead::End),
            None => Ok(Ahead::Nothing),
        }
    }

    /// Waits on this thread until there is more beyond `offset`: how many bytes, 0 at the end.
    fn wait(&self, offset: u64) -> Result<u64, SpoolFailure> {
        let mut state = self.lock();
        loop {
            match Self::ahead(&state, offset)? {
                Ahead::Bytes(count) => return Ok(count),
                Ahead::End => return Ok(0),
                Ahead::Nothing => {
                    state = self
                        .grown
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// The same in async code.
    async fn wait_async(&self, offset: u64) -> Result<u64, SpoolFailure> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let ahead = Self::ahead(&self.lock(), offset)?;
            match ahead {
                Ahead::Bytes(count) => return Ok(count),
                Ahead::End => return Ok(0),
                Ahead::Nothing => changed.await,
            }
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.store {
            Store::Files(files) => files.read_at(buffer, offset),
            Store::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = bytes.get(start..).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
                    to.copy_from_slice(from);
                }
                Ok(count)
            }
        }
    }

    /// A reader wants nothing before `offset` any more.
    fn give_back(&self, offset: u64) {
        let passes = self.lock().passes;
        if let (Store::Files(files), true) = (&self.store, passes) {
            files.drop_before(offset);
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match &self.store {
            Store::Files(files) => files.write_at(bytes, offset),
            Store::Memory(_) => Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem)),
        }
    }
}

#[cfg(test)]
mod tests;
