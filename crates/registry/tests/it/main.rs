//! The crate from its door: against registries on loopback, and directories.
#![expect(clippy::unwrap_used, reason = "tests: a panic is a failed test")]

mod auth;
mod clouds;
mod exchange;
mod faults;
mod heard;
mod identities;
mod insecure;
mod layout;
mod mirrors;
mod pull;
mod push;
mod support;
mod web;
