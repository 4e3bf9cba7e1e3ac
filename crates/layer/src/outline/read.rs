use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use super::fields::{Parts, Wrong};
use super::{LONGEST, LONGEST_CHANGE, LONGEST_CONTENT, TITLE, Tag, USERS, WINDOW_LOG};
use crate::limits::PATH_MAX;
use crate::tar::{BLOCK_BYTES, OFFSET_MAX, file_content};
use crate::{Change, Entry, Error, FileContent, ImagePath, Mode};

/// Reads an outline, change by change. It is as hostile as a tar: memory is bounded by the largest change.
pub struct OutlineReader<R: Read> {
    source: io::Take<zstd::Decoder<'static, BufReader<R>>>,
    blob: u32,
    buffer: Vec<u8>,
    changes: u64,
    /// Where the content of the last file ends.
    position: u64,
    begun: bool,
    ended: bool,
}

impl<R: Read> OutlineReader<R> {
    /// Reads `inner`. Contents get [`Origin::Blob`](crate::Origin::Blob) with the number `blob`, as from a
    /// [`LayerReader`](crate::LayerReader).
    ///
    /// # Errors
    /// [`Error::ReadOutline`].
    pub fn new(inner: R, blob: u32) -> Result<Self, Error> {
        let start = || {
            let mut decoder = zstd::Decoder::new(inner)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Ok(decoder.single_frame())
        };
        let decoder = start().map_err(|source| Error::ReadOutline { source })?;
        Ok(Self {
            source: decoder.take(LONGEST),
            blob,
            buffer: Vec::new(),
            changes: 0,
            position: 0,
            begun: false,
            ended: false,
        })
    }

    /// The next change; `None` after the last one, when all was there that should be.
    ///
    /// # Errors
    /// [`Error::ReadOutline`] when reading fails or the outline ends too early, [`Error::Outline`] for a change that is none. There is nothing
    /// to read after an error.
    pub fn next_change(&mut self) -> Result<Option<Change>, Error> {
        if self.ended {
            return Ok(None);
        }
        self.begin()?;
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        // Before anything is allocated for it.
        if length > LONGEST_CHANGE {
            return Err(self.wrong("it is too long"));
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length, 0);
        self.fill(&mut buffer)?;
        let change = self.parse(&buffer).map_err(|what| self.wrong(what))?;
        self.buffer = buffer;
        if change.is_some() {
            self.changes += 1;
        } else {
            self.ended = true;
            self.check_end()?;
        }
        Ok(change)
    }

    fn begin(&mut self) -> Result<(), Error> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let mut title = [0; TITLE.len()];
        self.fill(&mut title)?;
        if title == TITLE {
            Ok(())
        } else {
            Err(self.wrong("this is no outline"))
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let read = self.source.read_exact(buffer);
        read.map_err(|source| Error::ReadOutline { source })
    }

    /// The checksum is read with the end.
    fn check_end(&mut self) -> Result<(), Error> {
        let read = self.source.read(&mut [0]);
        if read.map_err(|source| Error::ReadOutline { source })? > 0 {
            return Err(self.wrong("something follows the last change"));
        }
        let behind = self.source.get_mut().get_mut().fill_buf();
        if behind
            .map_err(|source| Error::ReadOutline { source })?
            .is_empty()
        {
            Ok(())
        } else {
            Err(self.wrong("something follows its end"))
        }
    }

    fn wrong(&self, what: &'static str) -> Error {
        Error::Outline {
            change: self.changes,
            what,
        }
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Option<Change>, Wrong> {
        let mut parts = Parts(bytes);
        let tag = Tag::of(parts.byte()?).ok_or("its kind is unknown")?;
        let change = match tag {
            Tag::End => {
                if parts.number()? != self.changes {
                    return Err("changes are missing");
                }
                None
            }
            Tag::Link => Some(Change::Link {
                path: parts.path_below()?,
                target: parts.path_below()?,
            }),
            Tag::Delete => Some(Change::Delete {
                path: parts.path_below()?,
            }),
            Tag::ClearDir => Some(Change::ClearDir {
                path: parts.path()?,
            }),
            Tag::Directory
            | Tag::File
            | Tag::Content
            | Tag::Symlink
            | Tag::CharDevice
            | Tag::BlockDevice
            | Tag::Fifo => Some(self.put(tag, &mut parts)?),
        };
        parts.end()?;
        Ok(change)
    }

    fn put(&mut self, tag: Tag, parts: &mut Parts<'_>) -> Result<Change, Wrong> {
        let path = if tag == Tag::Directory {
            parts.path()?
        } else {
            parts.path_below()?
        };
        let entry = self.entry(tag, &path, parts)?;
        let metadata = parts.metadata()?;
        if matches!(entry, Entry::Symlink(_)) && metadata.mode != Mode::SYMLINK {
            return Err("a link has another mode");
        }
        Ok(Change::Put {
            path,
            entry,
            metadata,
        })
    }

    fn entry(&mut self, tag: Tag, path: &ImagePath, parts: &mut Parts<'_>) -> Result<Entry, Wrong> {
        Ok(match tag {
            Tag::Directory => Entry::Directory,
            Tag::File => {
                let (size, offset) = (parts.number()?, parts.number()?);
                self.place(size, offset)?;
                Entry::File(file_content(size, self.blob, offset))
            }
            Tag::Content => {
                if !USERS.contains(&path.as_relative()) {
                    return Err("the bytes of the file do not belong here");
                }
                let longest = usize::try_from(LONGEST_CONTENT).unwrap_or(usize::MAX);
                Entry::File(FileContent::inline(parts.text(longest)?))
            }
            Tag::Symlink => {
                let target = parts.text(PATH_MAX)?;
                if target.is_empty() {
                    return Err("a link leads nowhere");
                }
                Entry::Symlink(target.into())
            }
            Tag::CharDevice => Entry::CharDevice(parts.device()?),
            Tag::BlockDevice => Entry::BlockDevice(parts.device()?),
            Tag::Fifo => Entry::Fifo,
            Tag::End | Tag::Link | Tag::Delete | Tag::ClearDir => {
                return Err("its kind is unknown");
            }
        })
    }

    /// Contents come one after the other, each after a header: whoever extracts them goes forward only.
    fn place(&mut self, size: u64, offset: u64) -> Result<(), Wrong> {
        let end = offset.checked_add(size).filter(|end| *end <= OFFSET_MAX);
        let end = end.ok_or("a file lies behind everything")?;
        let follows = offset.is_multiple_of(BLOCK_BYTES) && offset >= self.position + BLOCK_BYTES;
        if !follows {
            return Err("a file lies in another");
        }
        self.position = end;
        Ok(())
    }
}

impl<R: Read> fmt::Debug for OutlineReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutlineReader")
            .field("blob", &self.blob)
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}
