//! A filesystem as a value; the differences between two of them; their tar form.
//!
//! What enters: entries of layer tars, listings of directories. What leaves: [`Tree`] values, [`Change`]s between them, and the bytes of a layer.
//!
//! What never happens here: no file is opened. Contents are named by an [`Origin`]; whoever writes a layer opens them.
//!
//! Specifications: image-spec v1.1 `layer.md` (changesets, whiteouts, hard links); POSIX.1-2001 pax for the tar form.

mod change;
mod compress;
mod diff;
mod error;
mod hashing;
pub mod limits;
mod node;
pub mod notation;
mod path;
mod tar;
mod tree;
mod whiteout;

pub use change::{Change, Entry};
pub use compress::{
    CompressionSettings, Decompressor, FinishedLayer, LayerWriter, StreamFormat, decompress,
    decompress_as,
};
pub use diff::diff;
pub use error::Error;
pub use hashing::HashingRead;
pub use node::{
    ContentIdentity, Device, FileContent, Kind, Metadata, Mode, Node, Origin, Timestamp, Xattrs,
};
pub use path::{ImagePath, PathError};
pub use tar::{Content, Dialect, LayerEncoder, LayerEntry, LayerReader, TarFault, Written};
pub use tree::{Effect, Follow, NodeId, Resolved, Tree, Walk};
