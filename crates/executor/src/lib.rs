//! The builder itself: flags become a [`cli::Config`], a Dockerfile becomes a plan, the plan becomes an image.
//!
//! What enters: the command line, the environment, a Dockerfile, a build context. What leaves: an image in registries or files, events
//! ([`report::BuildEvent`]) on the way, and an exit code. What never happens here: parsing, planning and comparing; they are values of other crates,
//! and this one decides only in which order the world is asked.

mod advice;
pub mod build;
mod cache;
mod called;
pub mod cli;
mod credentials;
mod error;
mod lint;
mod login;
pub mod report;
mod sandbox;
pub mod secrets;
pub mod ssh;
mod start;
mod time;

pub use cache::CacheError;
pub use error::{BuildError, chain};
pub use start::start;
