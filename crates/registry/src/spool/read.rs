use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};

use super::{Shared, Spool, SpoolFailure};
use crate::limits;

/// A blocking reader that starts at the beginning and waits for the writer.
///
/// Its end is the end of the spool; a writer that failed makes it fail.
#[derive(Debug)]
pub struct SpoolReader {
    shared: Arc<Shared>,
    offset: u64,
}

impl Spool {
    /// A blocking reader of the whole spool.
    pub fn reader(&self) -> SpoolReader {
        SpoolReader {
            shared: Arc::clone(&self.shared),
            offset: 0,
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
        stream::try_unfold(
            (Arc::clone(&self.shared), offset),
            |(shared, offset)| async move {
                let available = shared.wait_async(offset).await.map_err(into_io)?;
                if available == 0 {
                    return Ok(None);
                }
                let chunk = read_chunk(Arc::clone(&shared), offset, available).await?;
                let offset = offset + chunk.len() as u64;
                Ok(Some((chunk, (shared, offset))))
            },
        )
    }
}

async fn read_chunk(shared: Arc<Shared>, offset: u64, available: u64) -> io::Result<Bytes> {
    let length = usize::try_from(available).map_or(limits::CHUNK, |n| n.min(limits::CHUNK));
    let read = move || {
        let mut buffer = BytesMut::zeroed(length);
        let count = read_some(&shared, &mut buffer, offset)?;
        buffer.truncate(count);
        Ok(buffer.freeze())
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
        Ok(count)
    }
}
