mod entry;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead as _, BufReader, Read};

use super::fault::TarFault;
use super::header::{BLOCK, BLOCK_BYTES, Block, Header, padding, typeflag, until_nul};
use super::pax::Records;
use crate::limits::EXTENSION_MAX;
use crate::{Change, Error, Timestamp};

pub(crate) use entry::{OFFSET_MAX, content as file_content};

/// How much is read at once; also what one reader costs in memory.
const BUFFER: usize = 64 * 1024;

/// What a tar is read as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// A layer: names that start with `.wh.` are whiteouts.
    Layer,
    /// An archive that ADD unpacks: such names are names.
    Archive,
    /// An archive that holds a build context: as [`Archive`](Self::Archive), but names that lead up or begin at the root are refused
    /// (hostile-inputs.md § 4.1).
    Context,
}

/// Reads the entries of a tar one after the other. Nothing but the entry at hand is in memory.
///
/// A layer is read to its end only by [`LayerReader::finish`]: what follows the last entry belongs to the diff id, too.
#[derive(Debug)]
pub struct LayerReader<R> {
    inner: BufReader<R>,
    dialect: Dialect,
    blob: u32,
    /// How many bytes have been read.
    offset: u64,
    /// What of the current entry's content has not been read.
    left: u64,
    /// What follows that content until the next block.
    padding: u64,
    /// Whether the last entry has been seen.
    ended: bool,
}

/// An entry of a tar.
#[derive(Debug)]
pub struct LayerEntry<'a, R> {
    /// What it does to a tree. The content of a file is `Unique` until it was read: see [`HashingRead`](crate::HashingRead).
    pub change: Change,
    /// The content of a regular file. What is not read of it is skipped.
    pub content: Option<Content<'a, R>>,
}

/// The content of a file in a tar. Its end before the size that the header promises is an error.
#[derive(Debug)]
pub struct Content<'a, R> {
    reader: &'a mut LayerReader<R>,
}

/// An entry with the extension headers before it.
#[derive(Debug)]
struct Member {
    header: Header,
    records: Records,
    size: u64,
    mtime: Timestamp,
}

/// What extension headers have said about the entry to come.
#[derive(Default)]
struct Extensions {
    records: Option<Records>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> LayerReader<R> {
    /// Reads the uncompressed tar `inner`. Contents get [`Origin::Blob`](crate::Origin::Blob) with the number `blob`.
    pub fn new(inner: R, dialect: Dialect, blob: u32) -> Self {
        Self {
            inner: BufReader::with_capacity(BUFFER, inner),
            dialect,
            blob,
            offset: 0,
            left: 0,
            padding: 0,
            ended: false,
        }
    }

    /// The next entry; `None` after the last one.
    ///
    /// # Errors
    /// [`Error::ReadTar`] when reading fails, [`Error::Entry`] for what is malformed, hostile or not supported. There is nothing to
    /// read after an error.
    pub fn next_entry(&mut self) -> Result<Option<LayerEntry<'_, R>>, Error> {
        loop {
            let Some(member) = self.next_member()? else {
                return Ok(None);
            };
            let at = self.offset;
            let change = entry::change(&member, self.dialect, self.blob, at)
                .map_err(|fault| self.fault(fault))?;
            // aufs metadata says nothing: its content is skipped with it.
            let Some(change) = change else { continue };
            let is_file = matches!(
                change,
                Change::Put {
                    entry: crate::Entry::File(_),
                    ..
                }
            );
            return Ok(Some(LayerEntry {
                change,
                content: is_file.then_some(Content { reader: self }),
            }));
        }
    }

    /// Reads what is left, interpreting nothing, and gives back the inner reader, which is then at its end.
    ///
    /// # Errors
    /// [`Error::ReadTar`].
    pub fn finish(mut self) -> Result<R, Error> {
        io::copy(&mut self.inner, &mut io::sink()).map_err(|source| self.read_error(source))?;
        Ok(self.inner.into_inner())
    }

    fn next_member(&mut self) -> Result<Option<Member>, Error> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.next_header()? else {
                if extensions.is_pending() {
                    return Err(self.fault(TarFault::DanglingExtension));
                }
                return Ok(None);
            };
            match header.typeflag {
                typeflag::PAX => extensions.records = Some(self.read_records(&header)?),
                // Its records apply to no entry (they would let one file speak for another). For Go it is an entry of its own, so that
                // what came before it is used up.
                typeflag::PAX_GLOBAL => {
                    self.read_records(&header)?;
                    extensions = Extensions::default();
                }
                typeflag::GNU_LONG_NAME => {
                    extensions.long_name = Some(self.read_long_name(&header)?);
                }
                typeflag::GNU_LONG_LINK => {
                    extensions.long_link = Some(self.read_long_name(&header)?);
                }
                _ => {
                    let member = extensions
                        .apply(header)
                        .map_err(|fault| self.fault(fault))?;
                    self.expect_content(member.size);
                    return Ok(Some(member));
                }
            }
        }
    }

    /// The next block that is a header; `None` at the end of the archive.
    fn next_header(&mut self) -> Result<Option<Header>, Error> {
        if self.ended {
            return Ok(None);
        }
        let Some(block) = self.read_block()? else {
            self.ended = true;
            return Ok(None);
        };
        if !block.is_zero() {
            return block.parse().map(Some).map_err(|fault| self.fault(fault));
        }
        self.ended = true;
        // Two zero blocks are the end. So is one at the end of the stream, which some writers leave.
        match self.read_block()? {
            Some(block) if !block.is_zero() => Err(self.fault(TarFault::LoneZeroBlock)),
            Some(_) | None => Ok(None),
        }
    }

    /// One block; `None` when the stream ends before it.
    fn read_block(&mut self) -> Result<Option<Block>, Error> {
        let mut block = Block::zeros();
        let mut filled = 0;
        while let Some(space) = block.0.get_mut(filled..)
            && !space.is_empty()
        {
            match self.read_some(space)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(self.fault(TarFault::Truncated { inside: "a header" })),
                count => filled += count,
            }
        }
        debug_assert_eq!(filled, BLOCK);
        Ok(Some(block))
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.inner.read(buffer) {
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.read_error(source)),
            }
        }
    }

    fn expect_content(&mut self, size: u64) {
        self.left = size;
        self.padding = padding(size);
    }

    fn skip_content(&mut self) -> Result<(), Error> {
        let content = std::mem::take(&mut self.left);
        self.skip(content, "the content of an entry")?;
        let padding = std::mem::take(&mut self.padding);
        self.skip(padding, "the padding of an entry")
    }

    fn skip(&mut self, bytes: u64, inside: &'static str) -> Result<(), Error> {
        let end = self.offset + bytes;
        while self.offset < end {
            // What is buffered is passed over where it is: contents are most of a layer.
            let buffered = match self.inner.fill_buf() {
                Ok(buffered) => buffered.len(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(self.read_error(source)),
            };
            if buffered == 0 {
                return Err(self.fault(TarFault::Truncated { inside }));
            }
            let left = usize::try_from(end - self.offset).unwrap_or(usize::MAX);
            let count = buffered.min(left);
            self.inner.consume(count);
            self.offset += count as u64;
        }
        Ok(())
    }

    fn read_records(&mut self, header: &Header) -> Result<Records, Error> {
        let body = self.read_extension(header)?;
        Records::parse(&body).map_err(|fault| self.fault(fault))
    }

    fn read_long_name(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        let body = self.read_extension(header)?;
        Ok(until_nul(&body).to_vec())
    }

    fn read_extension(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        let size = entry::size(header.size).map_err(|fault| self.fault(fault))?;
        // Before anything is allocated for it.
        if size > EXTENSION_MAX {
            return Err(self.fault(TarFault::ExtensionTooLong { bytes: size }));
        }
        self.expect_content(size);
        let mut body = Vec::new();
        let read = (&mut self.inner).take(size).read_to_end(&mut body);
        let count = read.map_err(|source| self.read_error(source))? as u64;
        self.offset += count;
        self.left -= count;
        if self.left > 0 {
            return Err(self.fault(TarFault::Truncated {
                inside: "an extension header",
            }));
        }
        Ok(body)
    }

    fn fault(&self, fault: TarFault) -> Error {
        Error::Entry {
            offset: self.offset,
            fault,
        }
    }

    fn read_error(&self, source: io::Error) -> Error {
        Error::ReadTar {
            offset: self.offset,
            source,
        }
    }
}

impl Extensions {
    fn is_pending(&self) -> bool {
        self.records.is_some() || self.long_name.is_some() || self.long_link.is_some()
    }

    /// What header and extensions say together. PAX prevails over the header, GNU's long names over PAX, as in Go.
    fn apply(self, mut header: Header) -> Result<Member, TarFault> {
        let records = self.records.unwrap_or_default();
        if let Some(format) = records.sparse_format() {
            return Err(TarFault::Sparse { format });
        }
        let not_empty = |name: &Vec<u8>| !name.is_empty();
        if let Some(name) = records.path() {
            header.name = name.to_vec();
        }
        if let Some(link) = records.link_path() {
            header.link = link.to_vec();
        }
        if let Some(name) = self.long_name.filter(not_empty) {
            header.name = name;
        }
        if let Some(link) = self.long_link.filter(not_empty) {
            header.link = link;
        }
        // Unconditionally: whoever takes the header's size if it is not zero reads other entries than Go (X9, RUSTSEC-2026-0068).
        header.size = records.number("size")?.unwrap_or(header.size);
        header.uid = records.number("uid")?.unwrap_or(header.uid);
        header.gid = records.number("gid")?.unwrap_or(header.gid);
        let mtime = records.time("mtime")?;
        // V7 knew no directories but files whose name ends in a slash.
        if header.typeflag == typeflag::FILE_V7 && header.name.ends_with(b"/") {
            header.typeflag = typeflag::DIRECTORY;
        }
        let stated = entry::size(header.size)?;
        Ok(Member {
            size: if entry::has_content(header.typeflag) {
                stated
            } else {
                0
            },
            mtime: mtime.unwrap_or(Timestamp::from_seconds(header.mtime)),
            header,
            records,
        })
    }
}

impl<R: Read> Content<'_, R> {
    /// How much of it has not been read yet.
    pub fn left(&self) -> u64 {
        self.reader.left
    }
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.reader;
        let wanted =
            usize::try_from(reader.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some(space) = buffer.get_mut(..wanted).filter(|space| !space.is_empty()) else {
            return Ok(0);
        };
        let count = reader.inner.read(space)?;
        if count == 0 {
            let fault = TarFault::Truncated {
                inside: "the content of an entry",
            };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, fault));
        }
        reader.offset += count as u64;
        reader.left -= count as u64;
        Ok(count)
    }
}

/// Whether a file that starts like this is a tar, as ADD has to know (T-ADD-01). 512 bytes are needed and enough.
///
/// A tar without entries starts with zeros, as many a file does that is none: it is not recognised.
pub fn is_tar(head: &[u8]) -> bool {
    let mut block = Block::zeros();
    let Some(head) = head.get(..BLOCK) else {
        return false;
    };
    block.0.copy_from_slice(head);
    block.parse().is_ok()
}

/// Which block of the stream `offset` lies in.
fn block_number(offset: u64) -> u64 {
    offset / BLOCK_BYTES
}
