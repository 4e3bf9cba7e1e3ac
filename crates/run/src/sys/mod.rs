//! Every `unsafe` of the workspace: what rustix does not offer, one concern per file.
//!
//! Each file exposes safe functions only; the reason why the call is sound (`SAFETY`) and why it
//! is needed at all (`JUSTIFICATION`) stand beside it.

pub(crate) mod allocator;
pub(crate) mod child;
pub(crate) mod close_range;
pub(crate) mod dispositions;
pub(crate) mod fork;
pub(crate) mod huge_pages;
pub(crate) mod keyring;
pub(crate) mod kin;
pub(crate) mod mount_attributes;
pub(crate) mod seccomp;
pub(crate) mod signal_set;
pub(crate) mod unshare;
