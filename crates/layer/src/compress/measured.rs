use std::io::{self, Write};

use kigumi_oci::{Digest, Digester};

/// Hands on what is written and knows what it was.
#[derive(Debug)]
pub(crate) struct Measured<W> {
    inner: W,
    digester: Digester,
}

impl<W: Write> Measured<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            digester: Digester::new(),
        }
    }

    /// As [`finish`](Self::finish), with the inner writer.
    pub(crate) fn into_parts(self) -> (W, Digest, u64) {
        let bytes = self.digester.bytes();
        (self.inner, self.digester.finish(), bytes)
    }

    pub(crate) fn finish(self) -> (Digest, u64) {
        let bytes = self.digester.bytes();
        (self.digester.finish(), bytes)
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.digester.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
