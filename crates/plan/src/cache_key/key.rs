//! The key as a value.

use std::fmt::{self, Debug, Display, Formatter};
use std::str::FromStr;

use kigumi_oci::Digest;

/// What a step is called by everybody who would do the same to the same.
///
/// Made by [`Framed`](super::Framed) only, save for those that are read back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    pub(super) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The same bytes where a digest is asked for.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        Digest::from_bytes(self.0)
    }

    /// The first twelve hexadecimal digits, for people to read in logs.
    #[must_use]
    pub fn short(&self) -> String {
        self.digest().short()
    }
}

/// 64 lower-case hexadecimal digits, which is a valid tag.
impl Display for CacheKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digest().hex())
    }
}

impl Debug for CacheKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedKey(String);

impl Display for MalformedKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "`{text}` is not a cache key: 64 lower-case hexadecimal digits are expected"
        )
    }
}

impl std::error::Error for MalformedKey {}

impl FromStr for CacheKey {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        let digest: Result<Digest, _> = format!("sha256:{text}").parse();
        digest
            .map(|digest| Self(*digest.as_bytes()))
            .map_err(|_| MalformedKey(text.to_owned()))
    }
}
