//! The compressions that ADD knows.

use std::io::{self, BufReader, Cursor, Read};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use async_compression::futures::bufread::{BzDecoder, XzDecoder};
use flate2::bufread::MultiGzDecoder;
use futures_util::io::{AllowStdIo, AsyncRead};
use kigumi_layer::limits::ZSTD_WINDOW_LOG_MAX;

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
        [b'B', b'Z', b'h', ..] => {
            let mut decoder = BzDecoder::new(AllowStdIo::new(whole));
            decoder.multiple_members(true);
            Box::new(Ready(decoder))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let mut decoder = XzDecoder::with_mem_limit(AllowStdIo::new(whole), XZ_MEMORY);
            decoder.multiple_members(true);
            Box::new(Ready(decoder))
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

/// A decoder of `async-compression` whose source never makes it wait, so that it needs no runtime.
struct Ready<D>(D);

impl<D: AsyncRead + Unpin> Read for Ready<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match Pin::new(&mut self.0).poll_read(&mut Context::from_waker(Waker::noop()), buffer) {
            Poll::Ready(read) => read,
            Poll::Pending => Err(io::Error::other(
                "the source of an archive made its decoder wait",
            )),
        }
    }
}

/// Whether a decompressor gave up because of a limit of ours: such a file must not pass for one that is no archive.
pub(super) fn is_about_memory(error: &io::Error) -> bool {
    // Neither has another way to say it: these are the texts of their error codes.
    let text = error.to_string();
    ["too much memory", "memory limit"]
        .iter()
        .any(|limit| text.contains(limit))
}
