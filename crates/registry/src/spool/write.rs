use std::error::Error as StdError;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use kigumi_oci::Digest;

use super::{Finished, Spool, SpoolFailure};
use crate::Error;

/// The one writer of a spool. Dropped without [`finish`](Self::finish), it fails the spool, so that no reader waits forever.
#[derive(Debug)]
pub struct SpoolWriter {
    spool: Option<Spool>,
}

impl SpoolWriter {
    pub(super) const fn new(spool: Spool) -> Self {
        Self { spool: Some(spool) }
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::written)
    }

    /// Another handle on what is written.
    pub fn spool(&self) -> Option<Spool> {
        self.spool.clone()
    }

    /// Appends `bytes` without blocking the async runtime; returns when they are readable.
    ///
    /// # Errors
    /// What the filesystem says: no space, above all.
    pub async fn append(&mut self, bytes: Bytes) -> io::Result<()> {
        let Some(spool) = self.spool.clone() else {
            return Err(closed());
        };
        tokio::task::spawn_blocking(move || extend(&spool, &bytes))
            .await
            .map_err(io::Error::other)?
    }

    /// Ends the spool: readers come to their end, and the digest is known.
    ///
    /// # Errors
    /// [`Error::SpoolSize`] when `size` is not what was written; the spool has failed then.
    pub fn finish(mut self, digest: Digest, size: u64) -> Result<(), Error> {
        let written = self.written();
        if written == size {
            self.end(Ok(Finished { digest, size }));
            return Ok(());
        }
        let error = || Error::SpoolSize {
            digest,
            written,
            size,
        };
        self.end(Err(SpoolFailure(Arc::new(error()))));
        Err(error())
    }

    /// Ends the spool with an error that every reader and waiter gets.
    pub fn fail(mut self, error: Arc<dyn StdError + Send + Sync>) {
        self.end(Err(SpoolFailure(error)));
    }

    fn end(&mut self, end: Result<Finished, SpoolFailure>) {
        if let Some(spool) = self.spool.take() {
            spool.shared.lock().end.get_or_insert(end);
            spool.shared.announce();
        }
    }
}

fn closed() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

fn extend(spool: &Spool, bytes: &[u8]) -> io::Result<()> {
    // There is one writer, so nobody else moves the end between here and below.
    let offset = spool.written();
    spool.shared.write_at(bytes, offset)?;
    spool.shared.lock().written = offset + bytes.len() as u64;
    spool.shared.announce();
    Ok(())
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.spool {
            Some(spool) => extend(spool, bytes).map(|()| bytes.len()),
            None => Err(closed()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        self.end(Err(SpoolFailure(Arc::new(Error::SpoolAbandoned))));
    }
}
