//! An injective encoding: what differs in any part has a different digest.

use kigumi_oci::{Digest, Digester};

use super::CacheKey;

/// Version of the encoding: entries of another version are never asked for.
const VERSION: &str = "kigumi cache key 1";

/// The kind of a part. A part is its kind, its length, and its bytes, so that no two sequences of parts are one sequence of bytes
/// (T-CACHE-01, T-CACHE-02).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// What is encoded; the first part of all, and the first of every value inside.
    Tag = 1,
    /// Bytes that stand for nothing but themselves.
    Bytes = 2,
    /// Eight bytes, the least significant one first.
    Number = 3,
    /// A digest or a key.
    Digest = 4,
    /// There is nothing.
    None = 5,
    /// There is something: it follows.
    Some = 6,
    /// How many values follow.
    List = 7,
}

/// Parts on their way into a key.
#[derive(Clone)]
pub struct Framed {
    digester: Digester,
}

impl Framed {
    /// Nothing yet, about a `subject`: the same parts about another subject are another key.
    #[must_use]
    pub fn new(subject: &str) -> Self {
        let digester = Digester::new();
        Self { digester }.tag(VERSION).tag(subject)
    }

    fn part(mut self, kind: Kind, bytes: &[u8]) -> Self {
        self.digester.update(&[kind as u8]);
        self.digester.update(&(bytes.len() as u64).to_le_bytes());
        self.digester.update(bytes);
        self
    }

    /// Says which of several things follows.
    #[must_use]
    pub fn tag(self, name: &str) -> Self {
        self.part(Kind::Tag, name.as_bytes())
    }

    /// Adds bytes.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.part(Kind::Bytes, bytes)
    }

    /// Adds text.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.part(Kind::Number, &number.to_le_bytes())
    }

    /// Adds a truth value.
    #[must_use]
    pub fn flag(self, flag: bool) -> Self {
        self.number(u64::from(flag))
    }

    /// Adds a digest.
    #[must_use]
    pub fn digest(self, digest: &Digest) -> Self {
        self.part(Kind::Digest, digest.as_bytes())
    }

    /// Adds a key.
    #[must_use]
    pub fn key(self, key: &CacheKey) -> Self {
        self.part(Kind::Digest, key.as_bytes())
    }

    /// Adds what may be missing.
    #[must_use]
    pub fn option<T>(self, value: Option<T>, add: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.part(Kind::None, &[]),
            Some(value) => add(self.part(Kind::Some, &[]), value),
        }
    }

    /// Adds any number of values.
    #[must_use]
    pub fn list<T>(
        self,
        values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        add: impl FnMut(Self, T) -> Self,
    ) -> Self {
        let values = values.into_iter();
        let count = (values.len() as u64).to_le_bytes();
        values.fold(self.part(Kind::List, &count), add)
    }

    /// The key of what was added.
    #[must_use]
    pub fn finish(self) -> CacheKey {
        CacheKey::new(*self.digester.finish().as_bytes())
    }
}

impl std::fmt::Debug for Framed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framed").finish_non_exhaustive()
    }
}
