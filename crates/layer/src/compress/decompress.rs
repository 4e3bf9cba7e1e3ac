use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use kigumi_oci::Compression;

use crate::Error;
use crate::limits::ZSTD_WINDOW_LOG_MAX;

/// How much is read from the inner reader at once.
const BUFFER: usize = 64 * 1024;
/// As many bytes as the longest of the magic numbers has.
const MAGIC_LENGTH: usize = 6;

/// What the first bytes of a file say it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StreamFormat {
    /// None of the others.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878; also when a skippable frame comes first.
    Zstd,
    /// bzip2. Not decompressed here.
    Bzip2,
    /// xz. Not decompressed here.
    Xz,
}

impl StreamFormat {
    /// Recognises a format by its magic number (T-ADD-01, T-ADD-11). Six bytes are enough.
    pub fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::Plain,
        }
    }
}

impl From<Compression> for StreamFormat {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::Plain,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

impl fmt::Display for StreamFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        })
    }
}

/// Reads the uncompressed bytes of a layer or an archive. Checksums are verified, what is concatenated is read to the end, and what
/// follows the end and is none of the kind is an error.
#[derive(Debug)]
pub struct Decompressor<R: Read>(Inner<Headed<R>>);

/// The inner reader with the bytes back that were looked at.
type Headed<R> = Chain<Cursor<Vec<u8>>, R>;

enum Inner<R: Read> {
    Plain(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<R>>>),
}

/// Decompresses what the first bytes say, whatever else was promised: media types lie, and both kinds are then read by everybody else, too.
///
/// # Errors
/// [`Error::Decompress`] for bzip2 and xz, which no layer has, for an empty stream, and when reading fails.
pub fn decompress<R: Read>(mut reader: R) -> Result<Decompressor<R>, Error> {
    let head = read_head(&mut reader).map_err(|source| failed("compressed data", source))?;
    if head.is_empty() {
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, "there is not a single byte");
        return Err(failed("compressed data", source));
    }
    let format = StreamFormat::detect(&head);
    open(Cursor::new(head).chain(reader), format)
}

/// Decompresses a format that is known, as [`decompress`] does otherwise.
///
/// # Errors
/// As [`decompress`], except that nothing is read yet.
pub fn decompress_as<R: Read>(reader: R, format: StreamFormat) -> Result<Decompressor<R>, Error> {
    open(Cursor::new(Vec::new()).chain(reader), format)
}

fn open<R: Read>(reader: Headed<R>, format: StreamFormat) -> Result<Decompressor<R>, Error> {
    let reader = BufReader::with_capacity(BUFFER, reader);
    Ok(Decompressor(match format {
        StreamFormat::Plain => Inner::Plain(reader),
        StreamFormat::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(reader))),
        StreamFormat::Zstd => Inner::Zstd(Box::new(
            zstd_decoder(reader).map_err(|source| failed("zstd", source))?,
        )),
        StreamFormat::Bzip2 => return Err(unsupported("bzip2")),
        StreamFormat::Xz => return Err(unsupported("xz")),
    }))
}

fn zstd_decoder<R: BufRead>(reader: R) -> io::Result<zstd::Decoder<'static, R>> {
    let mut decoder = zstd::Decoder::with_buffer(reader)?;
    // A frame may ask for up to 2 GiB of memory in its first bytes.
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

fn read_head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(MAGIC_LENGTH);
    reader.take(MAGIC_LENGTH as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn failed(format: &'static str, source: io::Error) -> Error {
    Error::Decompress { format, source }
}

fn unsupported(format: &'static str) -> Error {
    let problem = "this format is not supported for layers";
    failed(format, io::Error::new(io::ErrorKind::Unsupported, problem))
}

impl<R: Read> Decompressor<R> {
    /// What is being decompressed.
    pub fn format(&self) -> StreamFormat {
        match &self.0 {
            Inner::Plain(_) => StreamFormat::Plain,
            Inner::Gzip(_) => StreamFormat::Gzip,
            Inner::Zstd(_) => StreamFormat::Zstd,
        }
    }

    /// The inner reader. It is at its end when this one was read to its end.
    pub fn into_inner(self) -> R {
        let headed = match self.0 {
            Inner::Plain(reader) => reader,
            Inner::Gzip(decoder) => decoder.into_inner(),
            Inner::Zstd(decoder) => decoder.finish(),
        };
        headed.into_inner().into_inner().1
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Plain(reader) => reader.read(buffer),
            Inner::Gzip(decoder) => decoder.read(buffer),
            Inner::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

impl<R: Read> fmt::Debug for Inner<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}
