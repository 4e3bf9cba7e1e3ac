//! A stream that ends with an error where it becomes longer than anybody may make it.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Gives at most so many bytes; one more is an error.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
    exceeded: Rc<Cell<bool>>,
}

impl<R> Bounded<R> {
    /// The flag tells afterwards whether the stream was longer.
    pub(super) fn new(inner: R, limit: u64) -> (Self, Rc<Cell<bool>>) {
        let exceeded = Rc::new(Cell::new(false));
        let bounded = Self {
            inner,
            left: limit,
            exceeded: Rc::clone(&exceeded),
        };
        (bounded, exceeded)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            // At the limit it may be at its end.
            let mut next = [0];
            if buffer.is_empty() || self.inner.read(&mut next)? == 0 {
                return Ok(0);
            }
            self.exceeded.set(true);
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        let count = self
            .inner
            .read(buffer.get_mut(..wanted).unwrap_or_default())?;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_may_have_as_many_bytes_as_the_limit_and_no_more() {
        let (mut reader, exceeded) = Bounded::new(&b"12345"[..], 5);
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        assert_eq!((text.as_slice(), exceeded.get()), (&b"12345"[..], false));
        let (mut reader, exceeded) = Bounded::new(&b"12345"[..], 4);
        reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(exceeded.get());
    }
}
