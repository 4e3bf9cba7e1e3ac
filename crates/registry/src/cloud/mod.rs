//! Who this pod is to a cloud, without that cloud's SDK: credentials from variables, files and metadata services, kept until shortly before
//! they expire.
//!
//! *Enters*: the variables and files of a pod ([`Surroundings`]). *Leaves*: AWS credentials and signatures ([`aws`]), Google access tokens
//! ([`google`]), Azure tokens ([`azure`]). *Never happens here*: a credential in an error or a log; a configuration file read later than at the
//! start, when a RUN may have written it.

pub mod aws;
pub mod azure;
pub(crate) mod cache;
mod error;
pub mod google;
pub(crate) mod http;
pub(crate) mod jwt;
mod surroundings;

pub use error::{Error, Provider};
pub use http::Http;
pub use surroundings::Surroundings;
