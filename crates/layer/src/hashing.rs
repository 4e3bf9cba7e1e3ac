use std::io::{self, Read};

use kigumi_oci::{Digest, Digester};

use crate::ContentIdentity;

/// Hands on what it reads, and knows at the end what it was.
///
/// Around the content of an entry it gives the entry's [`ContentIdentity`]; around the whole uncompressed stream, the diff id.
#[derive(Debug)]
pub struct HashingRead<R> {
    inner: R,
    digester: Digester,
}

impl<R: Read> HashingRead<R> {
    /// Starts with nothing read.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            digester: Digester::new(),
        }
    }

    /// How many bytes have passed.
    pub fn bytes(&self) -> u64 {
        self.digester.bytes()
    }

    /// The digest and the number of the bytes that have passed. What was not read is not in it.
    pub fn finish(self) -> (Digest, u64) {
        let bytes = self.digester.bytes();
        (self.digester.finish(), bytes)
    }

    /// As [`HashingRead::finish`], for the content of a file.
    pub fn identity(self) -> ContentIdentity {
        ContentIdentity::Sha256(self.digester.finish())
    }
}

impl<R: Read> Read for HashingRead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digester
            .update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
