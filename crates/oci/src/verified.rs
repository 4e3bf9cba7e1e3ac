use std::io::{self, Read};

use crate::{Descriptor, Digest, Digester, Error};

/// A reader that gives the bytes of a blob only through the check of digest and size: its end is an error unless both hold.
///
/// A blob longer than its descriptor fails as soon as one byte too many has come.
#[derive(Debug)]
pub struct Verified<R> {
    inner: R,
    digest: Digest,
    size: u64,
    digester: Option<Digester>,
}

impl<R: Read> Verified<R> {
    /// Wraps the bytes that `descriptor` promises.
    pub fn new(inner: R, descriptor: &Descriptor) -> Self {
        Self {
            inner,
            digest: descriptor.digest,
            size: descriptor.size,
            digester: Some(Digester::new()),
        }
    }

    fn check_end(&mut self) -> io::Result<()> {
        let Some(digester) = self.digester.take() else {
            return Ok(());
        };
        if digester.bytes() != self.size {
            return Err(self.wrong_size(digester.bytes()));
        }
        let actual = digester.finish();
        if actual != self.digest {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                Error::DigestMismatch {
                    expected: self.digest,
                    actual,
                },
            ));
        }
        Ok(())
    }

    fn wrong_size(&self, actual: u64) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            Error::SizeMismatch {
                digest: self.digest,
                expected: self.size,
                actual,
            },
        )
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            self.check_end()?;
            return Ok(0);
        }
        if let Some(digester) = &mut self.digester {
            digester.update(buffer.get(..count).unwrap_or_default());
            if digester.bytes() > self.size {
                let actual = digester.bytes();
                return Err(self.wrong_size(actual));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MediaType;

    fn read(bytes: &[u8], promised: &Descriptor) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Verified::new(bytes, promised).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn the_promised_bytes_pass() {
        let descriptor = Descriptor::of(MediaType::ImageLayer, b"layer");
        assert_eq!(read(b"layer", &descriptor).unwrap(), b"layer");
    }

    #[test]
    fn changed_shortened_and_lengthened_bytes_fail() {
        let descriptor = Descriptor::of(MediaType::ImageLayer, b"layer");
        for bytes in [&b"layes"[..], b"laye", b"layer!", b""] {
            assert!(read(bytes, &descriptor).is_err(), "{bytes:?}");
        }
    }
}
