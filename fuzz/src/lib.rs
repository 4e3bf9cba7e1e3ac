//! What the fuzz targets do, and what they begin with. Errors are fine; panics are bugs.
//!
//! A target is a function of bytes, so that it can also be run by an ordinary test: the executor's `fuzz_targets` test includes this
//! file and replays all seeds with changes. It is one text with two homes: `libfuzzer-sys` is no dependency of the workspace.

pub mod seeds;
pub mod targets;
