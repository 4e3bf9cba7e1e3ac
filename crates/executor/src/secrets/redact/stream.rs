use std::fmt;
use std::sync::Arc;

use super::matcher::Matcher;

/// What stands for hidden bytes, however many.
const MASK: &[u8] = b"***";

/// Hides values in bytes that come piece by piece, wherever the pieces are cut.
///
/// What may be the beginning of a value is held back until it is clear; that is never more than one window of a value.
pub struct StreamRedactor {
    matcher: Arc<Matcher>,
    pub(super) held: Vec<u8>,
    /// How many of the next bytes belong to what was found.
    covered: usize,
    /// The last byte was covered, and the mask for it is written.
    masked: bool,
}

impl StreamRedactor {
    pub(super) fn new(matcher: Arc<Matcher>) -> Self {
        Self {
            matcher,
            held: Vec::new(),
            covered: 0,
            masked: false,
        }
    }

    /// Takes bytes and gives those that are clear.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.matcher.is_empty() {
            return bytes.to_vec();
        }
        self.held.extend_from_slice(bytes);
        self.pass(false)
    }

    /// What was held back: nothing follows it, so it is no value.
    pub fn finish(&mut self) -> Vec<u8> {
        self.pass(true)
    }

    fn pass(&mut self, end: bool) -> Vec<u8> {
        let mut clean = Vec::with_capacity(self.held.len());
        let mut passed = 0;
        while let Some((&byte, rest)) = self.held.get(passed..).and_then(<[u8]>::split_first) {
            let found = self.matcher.at(self.held.get(passed..).unwrap_or(rest));
            if found.open && !end {
                break;
            }
            self.covered = self.covered.max(found.length);
            if self.covered == 0 {
                clean.push(byte);
                self.masked = false;
            } else {
                self.covered -= 1;
                if !std::mem::replace(&mut self.masked, true) {
                    clean.extend_from_slice(MASK);
                }
            }
            passed += 1;
        }
        self.held.drain(..passed);
        clean
    }
}

impl fmt::Debug for StreamRedactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamRedactor")
    }
}
