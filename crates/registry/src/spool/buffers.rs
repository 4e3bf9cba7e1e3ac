use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::limits;

/// Buffers of the chunks of one stream. They are filled by whichever thread reads and dropped by whichever sends: made anew every time, each of
/// those threads' share of the allocator would keep some.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// What a chunk is in until it was sent.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// How much of it is to be filled, then how much is.
    length: usize,
    home: Buffers,
}

impl Buffers {
    /// A buffer for that many bytes, or for a chunk of them; a used one if there is one of the size.
    pub(super) fn take(&self, available: u64) -> Buffer {
        let length = usize::try_from(available).map_or(limits::CHUNK, |n| n.min(limits::CHUNK));
        let spare = self.lock().pop().filter(|spare| spare.len() >= length);
        Buffer {
            bytes: spare.unwrap_or_else(|| vec![0; length]),
            length,
            home: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // A list of buffers is whole whatever happened to who held it.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// Where the bytes belong.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }

    /// The first bytes of the buffer, which comes back when the last who has them drops them.
    pub(super) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.length = filled;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.lock().push(std::mem::take(&mut self.bytes));
    }
}
