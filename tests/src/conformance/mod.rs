//! Conformance: builds described as data, with the results that BuildKit gave.
//!
//! Enters: a directory of `tests/conformance/cases`. Leaves: the differences between what is expected and what the executor
//! made, by facet. `tests/conformance/README.md` is the schema and the rules of comparison; this is its reading.

mod archive;
mod build;
mod cached;
mod case;
mod expect;
mod facts;
mod git;
mod images;
mod judge;
mod not_yet;
mod server;
mod suite;
mod tree;

pub use build::{Build, Finished, Prepared, PublicExecutor};
pub use cached::{Compared, Comparison, compare};
pub use case::{Case, Entry, EntryKind, ImageSpec, Options};
pub use expect::{BuiltImage, Expected};
pub use facts::{Facts, Found};
pub use git::{Commit, GitHost, Repository};
pub use images::{BaseImage, KnownImage, busybox};
pub use judge::{Difference, Facet, judge};
pub use not_yet::NotYet;
pub use server::Server;
pub use suite::{Report, Suite, Verdict};
