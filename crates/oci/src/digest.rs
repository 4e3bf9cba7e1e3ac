use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// The sha256 of stored bytes (of a blob: its compressed form).
///
/// image-spec v1.1 descriptor.md § Digests. Only sha256 is known: every registry and every builder of the field writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest from its 32 raw bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits without the algorithm, as OCI layouts name their files.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first twelve hexadecimal digits, for people to read in logs.
    pub fn short(&self) -> String {
        self.hex().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || Error::MalformedDigest {
            text: text.to_owned(),
        };
        let (algorithm, digits) = text.split_once(':').ok_or_else(malformed)?;
        if algorithm != "sha256" {
            return Err(Error::UnsupportedAlgorithm {
                text: text.to_owned(),
            });
        }
        // image-spec v1.1 descriptor.md § SHA-256: lower case only, so that a digest has one spelling.
        if digits.len() != 64 || digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return Err(malformed());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| malformed())?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The digest of a layer's *uncompressed* tar. image-spec v1.1 layer.md § Layer `DiffID`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sha256 that grows as bytes pass.
#[derive(Clone, Default)]
pub struct Digester {
    hasher: Sha256,
    bytes: u64,
}

impl Digester {
    /// An empty digester.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `bytes` to the digest.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// How many bytes have passed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of everything that passed.
    pub fn finish(self) -> Digest {
        Digest(self.hasher.finalize().into())
    }

    /// Hashes everything `reader` has left.
    ///
    /// # Errors
    /// What the reader says.
    pub fn drain(mut self, reader: &mut dyn Read) -> io::Result<(Digest, u64)> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.update(buffer.get(..count).unwrap_or_default());
        }
        let bytes = self.bytes;
        Ok((self.finish(), bytes))
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_prints_as_it_was_parsed() {
        let text = Digest::of(b"kigumi").to_string();
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
    }

    #[test]
    fn malformed_digests_are_refused() {
        let good = Digest::of(b"").to_string();
        let cases = [
            String::new(),
            "sha256".into(),
            "sha256:".into(),
            "sha256:00".into(),
            good.to_uppercase(),
            good.replace("sha256:", "sha256:zz"),
            format!("sha512:{}", "0".repeat(128)),
            format!("{good}0"),
            good.replace('e', "E"),
            "sha256:é".repeat(32),
        ];
        for case in cases {
            assert!(case.parse::<Digest>().is_err(), "{case}");
        }
    }

    #[test]
    fn a_digester_counts_and_hashes_what_passes() {
        let mut digester = Digester::new();
        digester.update(b"ki");
        digester.update(b"gumi");
        assert_eq!(digester.bytes(), 6);
        assert_eq!(digester.finish(), Digest::of(b"kigumi"));
    }
}
