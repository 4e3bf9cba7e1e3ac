use std::fmt;
use std::io::{self, Write};

use kigumi_oci::{Compression, DiffId, Digest, Digester};
use zstd::stream::raw::CParameter;

use super::gzip::ParallelGzip;
use super::measured::Measured;
use super::{BLOCK, CompressionSettings, FinishedLayer};
use crate::Error;

/// Into pieces of what size zstd cuts a frame for its threads; the default grows with the level, and memory with it. Changing it changes
/// the digest of every zstd layer.
const ZSTD_JOB: u32 = 4 * 1024 * 1024;
/// Each has several jobs in memory.
const ZSTD_THREADS_MAX: usize = 4;

/// Takes the bytes of an uncompressed layer tar, compresses them and writes the result to a sink, hashing both on the way.
///
/// Memory is bounded by the number of threads, not by the layer. Writes to the sink happen on the thread that writes here. Dropping it in the
/// middle stops everything; only [`LayerWriter::finish`] tells digests, because before there are none.
#[derive(Debug)]
pub struct LayerWriter<W: Write> {
    /// `None` after an error: what was written is then no layer, and more of it would not help.
    encoder: Option<Encoder<Measured<W>>>,
    compression: Compression,
    digester: Digester,
    block: Vec<u8>,
}

enum Encoder<W: Write> {
    None(W),
    Gzip { gzip: ParallelGzip<W>, level: u32 },
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> LayerWriter<W> {
    /// Starts a layer.
    ///
    /// # Errors
    /// [`Error::CompressionLevel`], [`Error::StartCompression`].
    pub fn new(sink: W, settings: &CompressionSettings) -> Result<Self, Error> {
        let level = settings.effective_level()?;
        let encoder = Encoder::new(Measured::new(sink), settings, level)
            .map_err(|source| Error::StartCompression { source })?;
        Ok(Self {
            encoder: Some(encoder),
            compression: settings.compression,
            digester: Digester::new(),
            block: Vec::with_capacity(BLOCK),
        })
    }

    /// How many bytes of the tar have been written so far.
    pub fn uncompressed_size(&self) -> u64 {
        self.digester.bytes() + self.block.len() as u64
    }

    /// Compresses what is left, flushes the sink and drops it.
    ///
    /// # Errors
    /// [`Error::FinishLayer`], also when an earlier write failed.
    pub fn finish(mut self) -> Result<FinishedLayer, Error> {
        let fail = |source| Error::FinishLayer { source };
        let encoder = self.encoder.take().ok_or_else(|| fail(failed_before()))?;
        self.digester.update(&self.block);
        let block = std::mem::take(&mut self.block);
        let (digest, size) = encoder.finish(block).map_err(fail)?;
        let digester = std::mem::take(&mut self.digester);
        Ok(FinishedLayer {
            uncompressed_size: digester.bytes(),
            diff_id: DiffId(digester.finish()),
            digest,
            size,
            compression: self.compression,
        })
    }

    fn full_block(&mut self) -> io::Result<()> {
        let mut encoder = self.encoder.take().ok_or_else(failed_before)?;
        self.digester.update(&self.block);
        encoder.block(&mut self.block)?;
        self.encoder = Some(encoder);
        Ok(())
    }
}

impl<W: Write> Write for LayerWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.encoder.is_none() {
            return Err(failed_before());
        }
        let room = BLOCK - self.block.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.block.extend_from_slice(taken);
        if self.block.len() == BLOCK {
            self.full_block()?;
        }
        Ok(taken.len())
    }

    /// Does nothing: flushing a compressor changes its bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Encoder<Measured<W>> {
    fn new(sink: Measured<W>, settings: &CompressionSettings, level: u32) -> io::Result<Self> {
        let threads = settings.effective_threads();
        Ok(match settings.compression {
            Compression::None => Self::None(sink),
            Compression::Gzip => Self::Gzip {
                gzip: ParallelGzip::new(sink, threads)?,
                level,
            },
            Compression::Zstd => Self::Zstd(zstd_encoder(sink, level, threads)?),
        })
    }

    /// Compresses a full block and leaves it empty.
    fn block(&mut self, block: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None(sink) => sink.write_all(block)?,
            Self::Gzip { gzip, level } => {
                *block = gzip.block(std::mem::take(block), *level)?;
                block.reserve_exact(BLOCK);
            }
            Self::Zstd(zstd) => zstd.write_all(block)?,
        }
        block.clear();
        Ok(())
    }

    fn finish(self, block: Vec<u8>) -> io::Result<(Digest, u64)> {
        let mut sink = match self {
            Self::None(mut sink) => {
                sink.write_all(&block)?;
                sink
            }
            Self::Gzip { gzip, level } => gzip.finish(block, level)?,
            Self::Zstd(mut zstd) => {
                zstd.write_all(&block)?;
                zstd.finish()?
            }
        };
        sink.flush()?;
        Ok(sink.finish())
    }
}

fn zstd_encoder<W: Write>(
    sink: W,
    level: u32,
    threads: usize,
) -> io::Result<zstd::Encoder<'static, W>> {
    let level = i32::try_from(level).map_err(io::Error::other)?;
    let threads = u32::try_from(threads.min(ZSTD_THREADS_MAX)).map_err(io::Error::other)?;
    let mut encoder = zstd::Encoder::new(sink, level)?;
    // Never 0: without workers zstd writes other bytes than with one or more.
    encoder.multithread(threads.max(1))?;
    encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

fn failed_before() -> io::Error {
    io::Error::other("writing the layer has failed before")
}

impl<W: Write> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None(_) => "None",
            Self::Gzip { .. } => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}
