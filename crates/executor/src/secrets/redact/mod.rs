//! Hides values in what is written for people and machines.
//!
//! A value is cut into overlapping windows ([`patterns`]); wherever one occurs, as it is or encoded, its bytes are covered. Windows bound
//! what a stream holds back, and hide most of a value of which only a part is shown.

mod matcher;
mod patterns;
mod stream;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use matcher::Matcher;
pub use stream::StreamRedactor;

/// Hides values in texts. Clones share what they hide; what is added later is hidden from then on.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Arc<Matcher>>>);

impl Redactor {
    /// Values shorter than this, in bytes without white space around them, would take half of the log with them. They are not hidden.
    pub const SHORTEST: usize = patterns::SHORTEST;

    /// Hides this value from now on: as it is and without white space around it, its longer lines, and base64, hexadecimal, percent-encoded,
    /// JSON-escaped and shell-quoted forms.
    pub fn hide(&self, value: &[u8]) {
        let patterns = patterns::of(value);
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *shared = Arc::new(shared.with(patterns));
    }

    /// The text without hidden values.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let matcher = self.matcher();
        if matcher.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut stream = StreamRedactor::new(matcher);
        let mut clean = stream.push(text.as_bytes());
        clean.extend(stream.finish());
        if clean == text.as_bytes() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(String::from_utf8_lossy(&clean).into_owned())
    }

    /// For bytes that come piece by piece. Hides what is hidden at this moment.
    pub fn stream(&self) -> StreamRedactor {
        StreamRedactor::new(self.matcher())
    }

    fn matcher(&self) -> Arc<Matcher> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

#[cfg(test)]
mod tests;
