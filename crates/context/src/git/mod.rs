//! Git repositories as a source of files: what ADD, named contexts and git contexts fetch.
//!
//! *Enters*: a [`GitReference`], and the [`Facilities`]: a network, secrets, a work directory. *Leaves*: a [`Tree`](kigumi_layer::Tree) whose contents lie in a
//! [`Spool`](crate::Spool). *Never happens here*: a hook, a filter program or any other program is run; a configuration is read, of the repository, of the user or of the
//! machine; a path leads out of the tree; a credential goes to a host that it is not for, or into a file.
//!
//! ```text
//! reference ─▶ fetch (refs, http) ─▶ pack in the work directory ─▶ objects ─▶ checkout, gitmodules ─▶ subdirectory ─▶ Tree
//!                                                                                   │ keep-git-dir
//!                                                                                   └▶ git_dir
//! ```
//!
//! gitoxide speaks the protocol and resolves the pack; how its requests travel is the caller's affair ([`Network`]), because certificates, proxies
//! and names are.
//!
//! Specification: dockerfile.md § 6.3; git's `gitprotocol-v2(5)`, `gitprotocol-http(5)`, `gitmodules(5)`; BuildKit for everything that git leaves open.

mod main_context;
mod reference;

#[cfg(feature = "git")]
mod access;
#[cfg(feature = "git")]
mod attributes;
#[cfg(feature = "git")]
mod checkout;
#[cfg(feature = "git")]
mod conversion;
#[cfg(feature = "git")]
mod error;
#[cfg(feature = "git")]
mod exchange;
#[cfg(feature = "git")]
mod fetch;
#[cfg(feature = "git")]
mod git_dir;
#[cfg(feature = "git")]
mod gitmodules;
#[cfg(feature = "git")]
mod http;
#[cfg(feature = "git")]
mod index_file;
#[cfg(feature = "git")]
mod limits;
#[cfg(feature = "git")]
mod network;
#[cfg(feature = "git")]
mod objects;
#[cfg(feature = "git")]
mod refs;
#[cfg(feature = "git")]
mod repository;
#[cfg(feature = "git")]
mod submodules;

pub use main_context::MainRepository;
pub use reference::{GitReference, GitReferenceError, Remote, Times, UserInfo};

#[cfg(feature = "git")]
pub use access::SecretLookup;
#[cfg(feature = "git")]
pub use error::{Cause, GitError};
#[cfg(feature = "git")]
pub use network::{HttpAnswer, HttpRequest, Network};
#[cfg(feature = "git")]
pub use repository::{CheckedOut, Facilities, check_out, commit_time};
