use std::fmt;
use std::io::{self, Write};

use kigumi_oci::Digest;

use super::fields::Fields;
use super::{LONGEST, LONGEST_CHANGE, TITLE, Tag, WINDOW_LOG};
use crate::compress::Measured;
use crate::{Change, Entry, Error, ImagePath, Metadata, Origin};

/// Writes the outline of a layer, change by change. Nothing but the change at hand is in memory.
pub struct OutlineWriter<W: Write> {
    sink: zstd::Encoder<'static, Measured<W>>,
    fields: Fields,
    changes: u64,
    /// What was written, before compression.
    length: u64,
}

/// An outline that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinishedOutline {
    /// Of the stored bytes.
    pub digest: Digest,
    /// How many of them.
    pub size: u64,
}

impl<W: Write> OutlineWriter<W> {
    /// Begins an outline.
    ///
    /// # Errors
    /// [`Error::WriteOutline`].
    pub fn new(inner: W) -> Result<Self, Error> {
        let start = || {
            let mut sink =
                zstd::Encoder::new(Measured::new(inner), zstd::DEFAULT_COMPRESSION_LEVEL)?;
            sink.window_log(WINDOW_LOG)?;
            sink.include_checksum(true)?;
            sink.write_all(TITLE)?;
            Ok(sink)
        };
        Ok(Self {
            sink: start().map_err(|source| Error::WriteOutline { source })?,
            fields: Fields::default(),
            changes: 0,
            length: TITLE.len() as u64,
        })
    }

    /// Adds a change as [`LayerReader`](crate::LayerReader) gave it. `content` are the bytes of a file that the outline
    /// [keeps](super::keeps_content).
    ///
    /// # Errors
    /// [`Error::WriteOutline`] when writing fails, and when the outline becomes too large to be read.
    pub fn put(&mut self, change: &Change, content: Option<&[u8]>) -> Result<(), Error> {
        self.fields.clear();
        let fields = &mut self.fields;
        match change {
            Change::Put {
                path,
                entry,
                metadata,
            } => put(fields, (path, entry, metadata), content)?,
            Change::Link { path, target } => {
                begin(fields, Tag::Link, path);
                fields.text(target.as_relative());
            }
            Change::Delete { path } => begin(fields, Tag::Delete, path),
            Change::ClearDir { path } => begin(fields, Tag::ClearDir, path),
        }
        self.changes += 1;
        self.write()
    }

    /// Ends the outline, and gives the inner writer back.
    ///
    /// # Errors
    /// [`Error::WriteOutline`].
    pub fn finish(mut self) -> Result<(W, FinishedOutline), Error> {
        self.fields.clear();
        self.fields.byte(Tag::End as u8);
        self.fields.number(self.changes);
        self.write()?;
        let measured = self.sink.finish();
        let measured = measured.map_err(|source| Error::WriteOutline { source })?;
        let (inner, digest, size) = measured.into_parts();
        Ok((inner, FinishedOutline { digest, size }))
    }

    fn write(&mut self) -> Result<(), Error> {
        let bytes = self.fields.bytes();
        let length = u32::try_from(bytes.len()).ok();
        let length = length.filter(|_| bytes.len() <= LONGEST_CHANGE);
        self.length += 4 + bytes.len() as u64;
        let Some(length) = length.filter(|_| self.length <= LONGEST) else {
            return Err(too_large());
        };
        let written = self.sink.write_all(&length.to_le_bytes());
        let written = written.and_then(|()| self.sink.write_all(bytes));
        written.map_err(|source| Error::WriteOutline { source })
    }
}

impl<W: Write> fmt::Debug for OutlineWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutlineWriter")
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}

fn too_large() -> Error {
    Error::WriteOutline {
        source: io::Error::from(io::ErrorKind::FileTooLarge),
    }
}

fn begin(fields: &mut Fields, tag: Tag, path: &ImagePath) {
    fields.byte(tag as u8);
    fields.text(path.as_relative());
}

fn put(
    fields: &mut Fields,
    (path, entry, metadata): (&ImagePath, &Entry, &Metadata),
    content: Option<&[u8]>,
) -> Result<(), Error> {
    match entry {
        Entry::Directory => begin(fields, Tag::Directory, path),
        Entry::File(file) => match (content, &file.origin) {
            (Some(bytes), _) => {
                begin(fields, Tag::Content, path);
                fields.text(bytes);
            }
            (None, Origin::Blob { offset, .. }) => {
                begin(fields, Tag::File, path);
                fields.number(file.size);
                fields.number(*offset);
            }
            (None, Origin::Live | Origin::Inline(_) | Origin::Stored { .. }) => {
                return Err(Error::WriteOutline {
                    source: io::Error::other("the file is in no layer"),
                });
            }
        },
        Entry::Symlink(target) => {
            begin(fields, Tag::Symlink, path);
            fields.text(target);
        }
        Entry::CharDevice(device) => {
            begin(fields, Tag::CharDevice, path);
            fields.device(*device);
        }
        Entry::BlockDevice(device) => {
            begin(fields, Tag::BlockDevice, path);
            fields.device(*device);
        }
        Entry::Fifo => begin(fields, Tag::Fifo, path),
    }
    fields.metadata(metadata);
    Ok(())
}
