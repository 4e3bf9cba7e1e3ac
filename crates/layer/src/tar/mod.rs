//! The tar form of a layer: POSIX.1-2001 pax on the way out; pax, ustar, star, GNU and V7 on the way in.
//!
//! Reading follows Go's `archive/tar`, by which containerd, Docker and Podman read layers: the same entries, in the same order, of the same
//! sizes. A reader that sees something else is a way to smuggle (I7). Where we are stricter we refuse; nowhere do we read differently.

mod decode;
mod encode;
mod fault;
mod header;
mod pax;

pub use decode::{Content, Dialect, LayerEntry, LayerReader, is_tar};
pub use encode::{LayerEncoder, Written};
pub use fault::TarFault;

pub(crate) use decode::{OFFSET_MAX, file_content};
pub(crate) use header::BLOCK_BYTES;
