//! Which files a COPY means and what they become; the build context as a tree.
//!
//! What enters: trees (the build context, an earlier stage, what the instruction is applied to) and the meaning of one instruction. What
//! leaves: the [`Change`](kigumi_layer::Change)s of its layer, in the order in which a layer lists them, each file naming where its bytes are.
//!
//! What never happens here: nothing touches the root filesystem. COPY, ADD and WORKDIR are functions from trees to changes; whoever writes
//! the layer opens the files, and whoever needs the result on a disk applies the changes.
//!
//! | module | question |
//! |---|---|
//! | `copy` | what COPY and ADD put where ([`copy_changes`]), what ADD has to look into first ([`archive_candidates`]) |
//! | `make_dir` | what WORKDIR makes ([`make_dir_changes`]) |
//! | `target` | what the tree looks like in the middle of an instruction |
//! | `chmod` | `--chmod` |
//! | `archive` | what is in an archive ([`read_archive`]), or in one that is the build context ([`read_context`]) |
//! | `dir` | what of a directory is the build context ([`context_tree`]), what of a tree ([`without_ignored`]) |
//! | `part` | `--context-sub-path` of a tree ([`part`]) |
//! | [`git`] | what is in a git repository |
//! | `location` | where context, Dockerfile and ignore file are |
//!
//! ```
//! use kigumi_context::{Archives, CopyItem, CopySpec, Destination, Owner, copy_changes};
//! use kigumi_layer::{Timestamp, Tree, notation};
//!
//! let context = notation::parse_tree("f 0640 1000:1000 /app.conf \"port=80\"")?;
//! let spec = CopySpec {
//!     items: vec![CopyItem::Path { source: 0, pattern: "*.conf".to_owned(), unpack: false }],
//!     destination: Destination::new(b"/srv", "etc/")?,
//!     owner: Owner::ROOT,
//!     chmod: None,
//!     parents: false,
//!     exclude: Vec::new(),
//!     link: false,
//!     now: Timestamp::default(),
//! };
//! let changes = copy_changes(&Tree::new(), &spec, &[&context], &Archives::none())?;
//! assert_eq!(
//!     notation::print_changes(&changes),
//!     "d 0755 0:0 /srv\nd 0755 0:0 /srv/etc\nf 0640 0:0 7 /srv/etc/app.conf \"port=80\"\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Specification: Dockerfile reference § COPY, § ADD, § WORKDIR, with BuildKit as the arbiter.

mod archive;
mod chmod;
mod copy;
mod dir;
mod error;
pub mod git;
mod location;
mod make_dir;
mod part;
mod subdirectory;
mod target;
#[cfg(test)]
mod testing;

pub use archive::{ContextLimits, Spool, read_archive, read_context};
pub use chmod::{Chmod, InvalidChmod};
pub use copy::{
    Archive, ArchiveKey, Archives, Candidate, CopyError, CopyItem, CopySpec, Destination, Owner,
    SelectedName, archive_candidates, copied_xattrs, copy_changes, selected_names,
};
pub use dir::{context_tree, read_ignore_file, without_ignored};
pub use error::Error;
pub use location::{
    DockerfilePlace, Location, ObjectName, Place, dockerfile_candidates, ignore_file_candidates,
};
pub use make_dir::make_dir_changes;
pub use part::part;
