use std::fs::File;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use kigumi_oci::{Digest, Digester};
use reqwest::Response;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use crate::client::answer;
use crate::{Error, Operation, limits};

/// A file on its way to the disk.
pub(super) struct Receiver<'a> {
    operation: &'a Operation,
    file: tokio::fs::File,
    digester: Digester,
}

impl<'a> Receiver<'a> {
    /// Empties the file: whatever an earlier attempt left is void.
    pub(super) async fn new(operation: &'a Operation, file: &File) -> Result<Self, Error> {
        let empty = async {
            let mut file = tokio::fs::File::from_std(file.try_clone()?);
            file.set_len(0).await?;
            file.rewind().await?;
            Ok(file)
        };
        Ok(Self {
            operation,
            file: empty.await.map_err(|source| stored(operation, source))?,
            digester: Digester::new(),
        })
    }

    /// Stores a body to its end, in pieces.
    pub(super) async fn receive(
        mut self,
        mut response: Response,
        stall: Duration,
    ) -> Result<(Digest, u64), Error> {
        let promised = response.content_length();
        let mut pending = BytesMut::with_capacity(limits::CHUNK);
        loop {
            let piece = answer::chunk(&mut response, stall, self.operation).await;
            let received = self.digester.bytes() + pending.len() as u64;
            match piece.map_err(|error| self.cut_short(error, promised, received))? {
                Some(piece) => pending.extend_from_slice(&piece),
                None => break,
            }
            if pending.len() >= limits::CHUNK {
                self.store(&mut pending).await?;
            }
        }
        self.store(&mut pending).await?;
        let flushed = self.file.flush().await;
        flushed.map_err(|source| stored(self.operation, source))?;
        let size = self.digester.bytes();
        Ok((self.digester.finish(), size))
    }

    async fn store(&mut self, pending: &mut BytesMut) -> Result<(), Error> {
        self.digester.update(pending);
        let written = self.file.write_all(pending).await;
        pending.clear();
        written.map_err(|source| stored(self.operation, source))
    }

    /// The connection ended in the middle: that is said in bytes where they were promised.
    fn cut_short(&self, error: Error, promised: Option<u64>, received: u64) -> Error {
        match (error, promised) {
            (Error::Transport { .. }, Some(expected)) if received < expected => Error::Truncated {
                operation: self.operation.clone(),
                expected,
                actual: received,
            },
            (error, _) => error,
        }
    }
}

fn stored(operation: &Operation, source: io::Error) -> Error {
    Error::SpoolWrite {
        operation: operation.clone(),
        source,
    }
}
