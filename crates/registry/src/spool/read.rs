use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};

use super::buffers::{Buffer, Buffers};
use super::{Shared, Spool, SpoolFailure};

/// How much is read before it is given back, where that is wanted: little beside what a build needs, and seldom.
const GIVEN_BACK: u64 = 4 * 1024 * 1024;

/// A blocking reader that starts at the beginning and waits for the writer.
///
/// Its end is the end of the spool; a writer that failed makes it fail.
#[derive(Debug)]
pub struct SpoolReader {
    shared: Arc<Shared>,
    offset: u64,
    /// How much was read when what was read was given back.
    given_back: u64,
}

impl Spool {
    /// A blocking reader of the whole spool.
    pub fn reader(&self) -> SpoolReader {
        SpoolReader {
            shared: Arc::clone(&self.shared),
            offset: 0,
            given_back: 0,
        }
    }

    /// The whole spool as a stream of chunks, for the body of an upload.
    pub fn stream(&self) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        self.stream_from(0)
    }

    /// What of the spool lies behind `offset`, as a stream of chunks.
    pub(crate) fn stream_from(
        &self,
        offset: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let buffers = Buffers::default();
        stream::try_unfold(
            (Arc::clone(&self.shared), buffers, offset),
            |(shared, buffers, offset)| async move {
                let available = shared.wait_async(offset).await.map_err(into_io)?;
                if available == 0 {
                    return Ok(None);
                }
                let buffer = buffers.take(available);
                let chunk = read_chunk(Arc::clone(&shared), buffer, offset).await?;
                let offset = offset + chunk.len() as u64;
                Ok(Some((chunk, (shared, buffers, offset))))
            },
        )
    }
}

async fn read_chunk(shared: Arc<Shared>, mut buffer: Buffer, offset: u64) -> io::Result<Bytes> {
    let read = move || {
        let count = read_some(&shared, buffer.room(), offset)?;
        Ok(buffer.into_bytes(count))
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other)?
}

/// Reads at least one byte of what the state says is there.
fn read_some(shared: &Shared, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match shared.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            outcome => return outcome,
        }
    }
}

fn into_io(failure: SpoolFailure) -> io::Error {
    io::Error::other(failure)
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let available = self.shared.wait(self.offset).map_err(into_io)?;
        if available == 0 {
            return Ok(0);
        }
        let length = usize::try_from(available).map_or(buffer.len(), |n| n.min(buffer.len()));
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let count = read_some(&self.shared, buffer, self.offset)?;
        self.offset += count as u64;
        if self.offset - self.given_back >= GIVEN_BACK {
            self.given_back = self.offset;
            self.shared.give_back(self.offset);
        }
        Ok(count)
    }
}
