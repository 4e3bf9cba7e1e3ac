use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Digest, Error};

/// A document as the bytes it came in, beside the value they mean. The bytes are what is pushed and hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw<T> {
    bytes: Vec<u8>,
    digest: Digest,
    value: T,
}

impl<T> Raw<T> {
    /// The bytes, exactly as they were received or first written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the bytes mean.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// How many bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Gives the value away and forgets the bytes.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T: DeserializeOwned> Raw<T> {
    /// Reads a document; `kind` names it in errors.
    ///
    /// # Errors
    /// [`Error::Document`] when the bytes are not such a document.
    pub fn parse(kind: &'static str, bytes: Vec<u8>) -> Result<Self, Error> {
        let digest = Digest::of(&bytes);
        let value = serde_json::from_slice(&bytes).map_err(|source| Error::Document {
            kind,
            digest,
            source,
        })?;
        Ok(Self {
            bytes,
            digest,
            value,
        })
    }
}

impl<T: Serialize> Raw<T> {
    /// Writes a new document.
    ///
    /// # Errors
    /// [`Error::Document`] when the value cannot be written as JSON.
    pub fn write(kind: &'static str, value: T) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(&value).map_err(|source| Error::Document {
            kind,
            digest: Digest::of(b""),
            source,
        })?;
        Ok(Self {
            digest: Digest::of(&bytes),
            bytes,
            value,
        })
    }
}
