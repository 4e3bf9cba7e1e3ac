//! Checkouts from real servers: git's own programs, over loopback.
#![cfg(feature = "git")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests: a panic is a failed test"
)]

mod access;
mod attributes;
mod files;
mod hostile;
mod kept;
mod revisions;
mod submodules;
mod support;
