//! A filesystem as a value; the differences between two of them; their tar form.
//!
//! What enters: entries of layer tars, listings of directories. What leaves: [`Tree`] values, [`Change`]s between them, and the bytes of a layer.
//!
//! What never happens here: no file is opened, no clock is read. Contents are named by an [`Origin`]; whoever writes a layer opens them. The bytes of
//! a layer depend on nothing but the changes, their contents and the compression that is asked for.
//!
//! | to | use |
//! |---|---|
//! | know what a layer does to an image | [`decompress`], [`LayerReader`], [`Tree::apply`] |
//! | know what a step did to an image | [`diff()`] |
//! | write a layer | [`LayerEncoder`] into [`LayerWriter`] |
//! | keep what a layer does without its bytes | [`OutlineWriter`], [`OutlineReader`] |
//! | write down or read a tree | [`notation`] |
//!
//! Specifications: image-spec v1.1 `layer.md` (changesets, whiteouts, hard links); POSIX.1-2001 pax for the tar form; RFC 1952, RFC 8878.
//!
//! ```
//! use kigumi_layer::{
//!     CompressionSettings, Dialect, LayerEncoder, LayerReader, LayerWriter, decompress, diff, notation,
//! };
//! use kigumi_oci::Compression;
//!
//! let before = notation::parse_tree("d 0755 0:0 /etc\nf 0644 0:0 /etc/motd \"hello\"")?;
//! let after = notation::parse_tree("d 0755 0:0 /etc\nl 0:0 /etc/mtab -> ../proc/mounts")?;
//! let changes = diff(&before, &after);
//!
//! let mut blob = Vec::new();
//! let sink = LayerWriter::new(&mut blob, &CompressionSettings::new(Compression::Gzip))?;
//! let mut encoder = LayerEncoder::new(sink).expect_changes(&changes);
//! for change in &changes {
//!     // Files would come with their content.
//!     let written = encoder.entry_without_content(change)?;
//!     assert_eq!(written.missing, 0);
//! }
//! let layer = encoder.finish()?.finish()?;
//! assert_eq!(layer.size, blob.len() as u64);
//!
//! let mut reader = LayerReader::new(decompress(&blob[..])?, Dialect::Layer, 0);
//! let mut tree = before.clone();
//! tree.begin_layer();
//! while let Some(entry) = reader.next_entry()? {
//!     tree.apply(entry.change)?;
//! }
//! reader.finish()?;
//! assert_eq!(tree.to_string(), after.to_string());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod change;
mod compress;
mod diff;
mod entries;
mod error;
mod hashing;
pub mod limits;
mod node;
pub mod notation;
mod outline;
mod path;
mod tar;
mod tree;
mod whiteout;

pub use change::{Change, Entry};
pub use compress::{
    CompressionSettings, Decompressor, FinishedLayer, LayerWriter, StreamFormat, decompress,
    decompress_as,
};
pub use diff::{Changes, diff, undo};
pub use entries::Entries;
pub use error::Error;
pub use hashing::HashingRead;
pub use node::{
    ContentIdentity, Device, FileContent, Kind, Metadata, Mode, Node, Origin, Timestamp, Xattrs,
};
pub use outline::{FinishedOutline, OutlineReader, OutlineWriter, keeps_content};
pub use path::{ImagePath, PathError};
pub use tar::{Content, Dialect, LayerEncoder, LayerEntry, LayerReader, TarFault, Written, is_tar};
pub use tree::{Effect, Follow, NodeId, Resolved, Tree, Walk};
