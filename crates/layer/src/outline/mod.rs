//! The outline of a layer: all its changes, without the bytes of files. Whoever has it knows what the layer does to a tree, and where in its tar
//! the bytes of each file are, without a byte of the layer.
//!
//! A zstd frame with a checksum; in it a title, and for each change its length (four bytes, the least significant one first) and that many bytes:
//! a kind and its fields, lengths before everything that has one. The last one is the number of changes. There is one way to write a change, and a
//! reader takes no other: what is not what [`LayerReader`](crate::LayerReader) could have given is refused.
//!
//! The files that names of users and groups are looked up in are small, and wanted by `COPY --chown`: their bytes are in the outline.

mod fields;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::OutlineReader;
pub use write::{FinishedOutline, OutlineWriter};

use crate::Change;

/// What an outline begins with; another form has another title.
const TITLE: &[u8] = b"kigumi outline 1\n";
/// What an outline is not larger than before it is compressed: a few million files.
const LONGEST: u64 = 256 << 20;
/// What no change needs more bytes than: attributes come out of an extension of [`EXTENSION_MAX`](crate::limits::EXTENSION_MAX).
const LONGEST_CHANGE: usize = 2 << 20;
/// Window of the compression, as a power of two: what reading and writing cost in memory.
const WINDOW_LOG: u32 = 20;
/// Files whose bytes are kept.
const USERS: [&[u8]; 2] = [b"etc/passwd", b"etc/group"];
/// Up to this many of them. Real ones have kilobytes.
const LONGEST_CONTENT: u64 = 64 * 1024;

/// The kinds of changes. A number is never used for another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Tag {
    End = 0,
    Directory = 1,
    File = 2,
    /// A file with its bytes.
    Content = 3,
    Symlink = 4,
    CharDevice = 5,
    BlockDevice = 6,
    Fifo = 7,
    Link = 8,
    Delete = 9,
    ClearDir = 10,
}

impl Tag {
    const ALL: [Self; 11] = [
        Self::End,
        Self::Directory,
        Self::File,
        Self::Content,
        Self::Symlink,
        Self::CharDevice,
        Self::BlockDevice,
        Self::Fifo,
        Self::Link,
        Self::Delete,
        Self::ClearDir,
    ];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| *tag as u8 == number)
    }
}

/// Whether the outline of a layer has the bytes of the file that the change puts.
pub fn keeps_content(change: &Change) -> bool {
    change.file().is_some_and(|content| {
        content.size <= LONGEST_CONTENT && USERS.contains(&change.path().as_relative())
    })
}
