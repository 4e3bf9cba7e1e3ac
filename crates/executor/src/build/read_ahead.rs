//! Decompression beside whoever uses the bytes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// How much is decompressed at once.
const CHUNK: usize = 256 * 1024;
/// How many chunks may lie ready. With [`CHUNK`] it bounds the memory.
const AHEAD: usize = 6;

/// Reads `inner` on a thread of its own, a bounded way ahead.
///
/// Dropped in the middle, it leaves the thread to end at its next chunk: it may be waiting for the network, and nobody should wait with it.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl ReadAhead {
    /// Starts the thread.
    pub(crate) fn new(inner: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(AHEAD);
        let (used, buffers) = channel();
        std::thread::Builder::new()
            .name("inflate".to_owned())
            .spawn(move || read_all(inner, &sender, &buffers))?;
        Ok(Self {
            chunks,
            used,
            current: Vec::new(),
            at: 0,
        })
    }

    /// The next chunk; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let Ok(next) = self.chunks.recv() else {
            return Ok(false);
        };
        let used = std::mem::replace(&mut self.current, next?);
        self.at = 0;
        // The thread may have come to its end.
        drop(self.used.send(used));
        Ok(true)
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let mut rest = self.current.get(self.at..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

fn read_all(
    mut inner: impl Read,
    chunks: &SyncSender<io::Result<Vec<u8>>>,
    buffers: &Receiver<Vec<u8>>,
) {
    loop {
        let mut chunk = buffers.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let read = fill(&mut inner, &mut chunk);
        let ended = !matches!(read, Ok(CHUNK));
        let chunk = read.map(|count| {
            chunk.truncate(count);
            chunk
        });
        // Whoever read has gone away, or this was the end.
        if chunks.send(chunk).is_err() || ended {
            return;
        }
    }
}

/// Fills the buffer unless the end comes first.
fn fill(inner: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(space) = buffer.get_mut(filled..)
        && !space.is_empty()
    {
        match inner.read(space) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_what_went_in_whatever_its_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 9 * CHUNK + 7] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut out = Vec::new();
            let mut reader = ReadAhead::new(io::Cursor::new(bytes.clone())).unwrap();
            reader.read_to_end(&mut out).unwrap();
            assert!(out == bytes, "{length}");
        }
    }

    #[test]
    fn an_error_comes_after_the_bytes_before_it_or_in_their_place_but_never_as_an_end() {
        struct Broken(usize);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0 == 0 {
                    return Err(io::Error::other("the network broke"));
                }
                let count = buffer.len().min(self.0);
                self.0 -= count;
                Ok(count)
            }
        }
        let mut reader = ReadAhead::new(Broken(3 * CHUNK)).unwrap();
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "the network broke");
    }

    #[test]
    fn no_more_than_the_bound_is_read_before_anybody_asks() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};

        struct Endless(Arc<AtomicUsize>);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.fetch_add(buffer.len(), Ordering::SeqCst);
                Ok(buffer.len())
            }
        }
        let read = Arc::new(AtomicUsize::new(0));
        let mut reader = ReadAhead::new(Endless(Arc::clone(&read))).unwrap();
        let mut byte = [0];
        for _ in 0..3 {
            reader.read_exact(&mut byte).unwrap();
            // One chunk is in use, as many as the bound are ready, one is waiting to be.
            assert!(read.load(Ordering::SeqCst) <= (AHEAD + 2) * CHUNK);
        }
    }
}
