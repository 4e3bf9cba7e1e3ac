//! The secrets of a build: their values, and what keeps them out of everything that is written.
//!
//! *Enters*: where each `--secret` is. *Leaves*: values by id for those who were given them ([`Secrets`]), and text without any of them
//! ([`Redactor`]). *Never happens here*: a value in an error, a log, a `Debug`.

mod redact;
mod store;

pub use redact::{Redactor, StreamRedactor};
pub use store::{SecretError, SecretValue, Secrets};
