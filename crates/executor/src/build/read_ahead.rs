//! Decompression and the digest of what comes out, beside whoever uses the bytes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use kigumi_oci::{DiffId, Digest, Digester};

use crate::error::BuildError;

/// How much is decompressed at once.
const CHUNK: usize = 256 * 1024;
/// How many chunks may wait to be hashed.
const UNHASHED: usize = 1;
/// How many chunks may lie ready. With [`CHUNK`] and [`UNHASHED`] it bounds the memory.
const AHEAD: usize = 4;

type Chunk = io::Result<Vec<u8>>;

/// Reads `inner` on a thread of its own, a bounded way ahead, and hashes it on another.
///
/// Dropped in the middle, it leaves the threads to end at their next chunk: the first may be waiting for the network, and nobody should wait with it.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    chunks: Receiver<Chunk>,
    digest: Receiver<Digest>,
    used: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl ReadAhead {
    /// Starts the threads.
    pub(crate) fn new(inner: impl Read + Send + 'static) -> Result<Self, BuildError> {
        Self::start(inner).map_err(|source| BuildError::Machine {
            operation: "start threads that decompress and hash",
            source,
        })
    }

    fn start(inner: impl Read + Send + 'static) -> io::Result<Self> {
        let (read, unhashed) = sync_channel(UNHASHED);
        let (hashed, chunks) = sync_channel(AHEAD);
        let (ended, digest) = sync_channel(1);
        let (used, buffers) = channel();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("hash").spawn(move || hash_all(&unhashed, &hashed, &ended))?;
        thread("inflate").spawn(move || read_all(inner, &read, &buffers))?;
        Ok(Self {
            chunks,
            digest,
            used,
            current: Vec::new(),
            at: 0,
        })
    }

    /// Once all bytes of a layer were read: makes sure that they are those of this `diff_id`.
    pub(crate) fn ensure(self, layer: Digest, expected: DiffId) -> Result<(), BuildError> {
        let actual = self.finish().ok_or_else(|| BuildError::Machine {
            operation: "hash a layer; this is a defect of kigumi, please report it",
            source: io::Error::other("the thread that hashes has ended early"),
        })?;
        if DiffId(actual) == expected {
            return Ok(());
        }
        Err(BuildError::DiffIdMismatch {
            layer,
            expected,
            actual: DiffId(actual),
        })
    }

    /// The digest of all bytes, once they were read to the end; `None` before it, and after an error.
    fn finish(self) -> Option<Digest> {
        self.digest.try_recv().ok()
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

/// Hands chunks on, and tells the digest of all of them before it hangs up, so that whoever has seen the end can have it.
fn hash_all(unhashed: &Receiver<Chunk>, hashed: &SyncSender<Chunk>, ended: &SyncSender<Digest>) {
    let mut digester = Digester::new();
    for chunk in unhashed {
        let has_failed = chunk.is_err();
        if let Ok(bytes) = &chunk {
            digester.update(bytes);
        }
        // Whoever read has gone away, or there is nothing after this that could have a digest.
        if hashed.send(chunk).is_err() || has_failed {
            return;
        }
    }
    // Nobody asks when whoever read has gone away.
    ended.send(digester.finish()).ok();
}

fn read_all(mut inner: impl Read, chunks: &SyncSender<Chunk>, buffers: &Receiver<Vec<u8>>) {
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
            assert_eq!(reader.finish(), Some(Digest::of(&bytes)), "{length}");
        }
    }

    #[test]
    fn what_was_not_read_to_its_end_has_no_digest() {
        let mut reader = ReadAhead::new(io::repeat(7).take(40 * CHUNK as u64)).unwrap();
        reader.read_exact(&mut vec![0; 3 * CHUNK]).unwrap();
        assert_eq!(reader.finish(), None);
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
        assert_eq!(reader.finish(), None);
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
            // One chunk is in use, as many as the bounds are ready, and one with each thread is waiting to be.
            assert!(read.load(Ordering::SeqCst) <= (UNHASHED + AHEAD + 3) * CHUNK);
        }
    }
}
