//! The only crate that reads and writes files inside a root, through directory handles.
//!
//! What enters: [`Change`](kigumi_layer::Change)s with the bytes of their files, host directories, the facts about this machine.
//! What leaves: files on a disk, and [`Tree`](kigumi_layer::Tree)s that say what is on it.
//!
//! What never happens here: nothing is written outside the root, through a symbolic link, or onto a mount; nothing is unpacked or
//! deleted on a root for which no [`DisposableRoot`] exists.
//!
//! The course of a stage:
//!
//! ```text
//! Facts::gather → assess → DisposableRoot::open → WritableRoot
//! Exclusions::new                       what is mounted or ours
//! Former::move_aside                    what was there before, where the container is used again
//! wipe                                  what an earlier stage or the executor's own image left
//! Unpacker::apply per change, finish    the base, and what COPY put on the tree → Virtuals
//! Index::record, settle                 the first look at the disk
//! RUN; Index::scan → diff(before, now)  as often as there are RUNs
//! keep                                  what later stages need
//! Former::give_back                     what was there before, where the container is used again
//! ```
//!
//! ```
//! use kigumi_layer::{Change, Entry, FileContent, ImagePath, Metadata, Mode, Timestamp, Tree, diff};
//! use kigumi_rootfs::{DisposableRoot, Exclusions, Index, Protection, Unpacker, Virtuals, wipe};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let root = DisposableRoot::of_directory(directory.path())?.open()?;
//! let mut exclusions = Exclusions::new(&root, &Protection::default())?;
//!
//! let content = b"hello";
//! let change = Change::Put {
//!     path: ImagePath::parse(b"etc/motd")?,
//!     entry: Entry::File(FileContent::inline(content)),
//!     metadata: Metadata::root_owned(Mode::FILE, Timestamp::from_seconds(1)),
//! };
//! let mut tree = Tree::new();
//! let mut unpacker = Unpacker::new(&root, &exclusions, Virtuals::default());
//! let effect = tree.apply(change.clone())?;
//! unpacker.apply(&mut tree, &change, &effect, Some(&mut content.as_slice()))?;
//! let virtuals = unpacker.finish(&mut tree)?;
//!
//! let mut index = Index::record(&root, &exclusions, tree, virtuals)?;
//! index.settle(&root)?;
//! std::fs::write(directory.path().join("etc/motd"), "HELLO")?; // what a RUN does
//! let before = index.scan(&root, &exclusions)?;
//! assert_eq!(diff(&before, index.tree()).len(), 2); // `/etc` and the file
//!
//! wipe(&root, &mut exclusions)?;
//! # Ok(())
//! # }
//! ```

mod abandon;
mod disk;
mod error;
mod exclusions;
mod former;
mod interlock;
mod keep;
mod listing;
mod mounts;
mod placing;
mod root_dir;
mod scan;
mod store;
mod unpack;
pub mod users;
mod wipe;

#[cfg(test)]
mod tests;

pub use abandon::abandon;
pub use error::Error;
pub use exclusions::{Exclusions, Protection};
pub use former::{Former, WhyForeign};
pub use interlock::{
    BootMarker, DisposableRoot, EXECUTOR_MARKER, Evidence, Facts, PER_BOOT_MARKER, Policy, Reason,
    Refusal, WritableRoot, assess, remove_sandbox,
};
pub use keep::{Keeper, Kept};
pub use listing::{Listed, Verdict, listing};
pub use mounts::{Mount, Mounts};
pub use placing::{Item, Placer, Site, Stand, WhyNot, Witness, in_order};
pub use root_dir::RootDir;
pub use scan::{Index, remove_sockets};
pub use store::Store;
pub use unpack::{Placement, Refused, Unpacker, Virtual, Virtuals, WhyVirtual};
pub use wipe::{Wiped, wipe};
