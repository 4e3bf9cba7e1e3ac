//! Archives that ADD unpacks, or that are build contexts: recognised by what is in them, read once, in constant memory (T-ADD-11).
//!
//! The entries become [`Change`](kigumi_layer::Change)s; the contents of files go one after the other into a spool of the caller's, from
//! where they enter the layer. Nothing is known of where the entries will go: that is for [`copy_changes`](crate::copy_changes).

mod bounded;
mod compression;
#[cfg(test)]
mod tests;
mod whole;

use std::io::{self, Read, Write};

use kigumi_layer::{
    Change, ContentIdentity, Dialect, Entry, Error as TarError, FileContent, HashingRead,
    LayerEntry, LayerReader, Origin, TarFault,
};

use crate::{Archive, Error};

pub use whole::{ContextLimits, read_context};

/// Where the contents of archives are kept until their layer is written: bytes without structure, one content after the other.
#[derive(Debug)]
pub struct Spool<W> {
    sink: W,
    blob: u32,
    offset: u64,
}

impl<W: Write> Spool<W> {
    /// Appends to `sink`, which is at its beginning. Contents get [`Origin::Blob`] with the number `blob`.
    pub fn new(sink: W, blob: u32) -> Self {
        Self {
            sink,
            blob,
            offset: 0,
        }
    }

    /// How many bytes are in it.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// The sink, everything handed to it.
    pub fn into_inner(self) -> W {
        self.sink
    }

    /// Takes over a content to its end.
    pub(crate) fn append(&mut self, content: impl Read) -> io::Result<FileContent> {
        let offset = self.offset;
        let mut content = HashingRead::new(content);
        let copied = io::copy(&mut content, &mut self.sink);
        let (digest, size) = content.finish();
        self.offset += size;
        copied?;
        Ok(FileContent {
            size,
            identity: ContentIdentity::Sha256(digest),
            origin: Origin::Blob {
                blob: self.blob,
                offset,
            },
        })
    }
}

/// What is in `file`, a source of an ADD; `None` when it is no archive and is to be copied as it is (T-ADD-01).
///
/// A file is an archive when it begins, after gzip, bzip2, xz, zstd or no compression, with the header of a tar entry: as BuildKit has it, an
/// empty tar is none, and neither is a compressed file that holds something else. Once that header was read there is no way back: damage is
/// an error. Nothing is written to the spool before. `written` names the source in messages.
///
/// # Errors
/// [`Error::ReadHead`], [`Error::Memory`], [`Error::Archive`], [`Error::Spool`].
pub fn read_archive<W: Write>(
    file: impl Read,
    written: &str,
    spool: &mut Spool<W>,
) -> Result<Option<Archive>, Error> {
    let head_error = |source| Error::ReadHead {
        written: written.to_owned(),
        source,
    };
    let plain = compression::decompressed(file).map_err(head_error)?;
    let mut reader = LayerReader::new(plain, Dialect::Archive, spool.blob);
    let mut archive = Archive::default();
    match reader.next_entry() {
        Ok(Some(entry)) => archive.entries.push(take_over(entry, written, spool)?),
        Ok(None) => return Ok(None),
        Err(error) => return not_an_archive(error, written).map(|()| None),
    }
    while let Some(entry) = reader.next_entry().map_err(|source| Error::Archive {
        written: written.to_owned(),
        source,
    })? {
        archive.entries.push(take_over(entry, written, spool)?);
    }
    Ok(Some(archive))
}

fn take_over<R: Read, W: Write>(
    entry: LayerEntry<'_, R>,
    written: &str,
    spool: &mut Spool<W>,
) -> Result<Change, Error> {
    let LayerEntry {
        mut change,
        content,
    } = entry;
    if let Change::Put {
        entry: Entry::File(file),
        ..
    } = &mut change
        && let Some(content) = content
    {
        *file = spool.append(content).map_err(|source| Error::Spool {
            written: written.to_owned(),
            source,
        })?;
    }
    Ok(change)
}

/// Tells what cannot be read from what is no archive.
fn not_an_archive(error: TarError, written: &str) -> Result<(), Error> {
    let written = written.to_owned();
    if let TarError::ReadTar { source, .. } = error {
        return if source.raw_os_error().is_some() {
            Err(Error::ReadHead { written, source })
        } else if compression::is_about_memory(&source) {
            Err(Error::Memory { written, source })
        } else {
            Ok(())
        };
    }
    // A header whose checksum is right and that can be read is a tar's; what it says may still be refused.
    let is_no_header = matches!(
        error,
        TarError::Entry {
            fault: TarFault::Checksum
                | TarFault::Number { .. }
                | TarFault::Truncated { .. }
                | TarFault::LoneZeroBlock
                | TarFault::Pax { .. }
                | TarFault::DanglingExtension,
            ..
        }
    );
    if is_no_header {
        return Ok(());
    }
    Err(Error::Archive {
        written,
        source: error,
    })
}
