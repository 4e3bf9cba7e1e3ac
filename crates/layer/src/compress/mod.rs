//! Compression of layers, and its reverse. The one place of the workspace that compresses them.
//!
//! The bytes of a compressed layer depend on its content, the kind of compression, the level and the version of this crate; not on the number
//! of threads, and not on how the content was cut into writes. Cache entries are found by such digests, so that both would cost hits.

mod decompress;
mod dense;
mod gzip;
mod measured;
#[cfg(test)]
mod tests;
mod writer;

use std::num::NonZeroUsize;

use kigumi_oci::{Compression, DiffId, Digest};

use crate::Error;

pub use decompress::{Decompressor, StreamFormat, decompress, decompress_as};
pub(crate) use measured::Measured;
pub use writer::LayerWriter;

/// What deflate and zstd are fed with at a time. Changing it changes the digest of every layer.
const BLOCK: usize = 1024 * 1024;
/// What they have in flight grows with the threads, up to 2 MiB for each and two more. More than these do not pay: one thread reads, hashes and writes what
/// they compress.
const THREADS_MAX: usize = 8;
/// Half the time of level 6, and layers that are as large as those of Go's builders at their default (ADR 26). Changing it changes the digest of every layer.
const GZIP_LEVEL: u32 = 3;
/// Levels of gzip; 0 stores.
const GZIP_LEVELS: std::ops::RangeInclusive<u32> = 0..=9;
/// The level of zstd that zstd itself has as default.
const ZSTD_LEVEL: u32 = 3;
/// Levels of zstd. Those above need a larger window than a reader may expect.
const ZSTD_LEVELS: std::ops::RangeInclusive<u32> = 1..=19;

/// How a layer shall be compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompressionSettings {
    /// The kind.
    pub compression: Compression,
    /// How hard to try; `None` is the default of the kind (gzip 3, zstd 3).
    pub level: Option<u32>,
    /// On how many threads. The bytes do not depend on it.
    pub threads: NonZeroUsize,
}

impl CompressionSettings {
    /// This kind at its default level, on one thread.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            level: None,
            threads: NonZeroUsize::MIN,
        }
    }

    /// The same on so many threads.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }

    /// The same at this level; `None` is the default.
    #[must_use]
    pub fn level(mut self, level: Option<u32>) -> Self {
        self.level = level;
        self
    }

    /// The level that holds, for cache keys and logs.
    ///
    /// # Errors
    /// [`Error::CompressionLevel`] when the kind has no such level.
    pub fn effective_level(&self) -> Result<u32, Error> {
        let (levels, default) = match self.compression {
            Compression::None => (0..=0, 0),
            Compression::Gzip => (GZIP_LEVELS, GZIP_LEVEL),
            Compression::Zstd => (ZSTD_LEVELS, ZSTD_LEVEL),
        };
        let level = self.level.unwrap_or(default);
        // A bare tar has no level, but whoever turns compression off need not unset the level.
        if self.compression == Compression::None || levels.contains(&level) {
            return Ok(level);
        }
        Err(Error::CompressionLevel {
            compression: self.compression,
            level,
            least: *levels.start(),
            most: *levels.end(),
        })
    }

    fn effective_threads(&self) -> usize {
        self.threads.get().min(THREADS_MAX)
    }
}

/// All there is to know about a layer that was written. An unfinished one has no digest to ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FinishedLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The digest of what went to the sink.
    pub digest: Digest,
    /// How many bytes went to the sink.
    pub size: u64,
    /// How many bytes the tar has.
    pub uncompressed_size: u64,
    /// How the tar was compressed.
    pub compression: Compression,
}
