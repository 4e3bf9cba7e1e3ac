//! The compressions that ADD knows.

use std::io::{self, BufReader, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use kigumi_layer::limits::ZSTD_WINDOW_LOG_MAX;
use liblzma::stream::{CONCATENATED, Error as XzError, Stream};

/// Bytes of the longest magic number.
const MAGIC: u64 = 6;
/// What an xz stream may ask for: twice what `xz -9` does. A larger dictionary is refused, so that a file of some bytes cannot demand gigabytes.
const XZ_MEMORY: u64 = 128 * 1024 * 1024;

/// What is in `file`: decompressed if its first bytes say that it is compressed, else as it is.
pub(super) fn decompressed<'f>(mut file: impl Read + 'f) -> io::Result<Box<dyn Read + 'f>> {
    let mut head = Vec::new();
    file.by_ref().take(MAGIC).read_to_end(&mut head)?;
    let magic = head.clone();
    let whole = BufReader::new(Cursor::new(head).chain(file));
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        [b'B', b'Z', b'h', ..] => Box::new(MultiBzDecoder::new(whole)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(whole, stream))
        }
        // The second is a skippable frame, which may stand in front (RFC 8878 § 3.1.2).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        _ => Box::new(whole),
    })
}

/// Whether a decompressor gave up because of a limit of ours: such a file must not pass for one that is no archive.
pub(super) fn is_about_memory(error: &io::Error) -> bool {
    let xz = error.get_ref().and_then(|inner| inner.downcast_ref());
    // zstd has no other way to say it: the text is the name of its error code.
    matches!(xz, Some(XzError::MemLimit)) || error.to_string().contains("too much memory")
}
