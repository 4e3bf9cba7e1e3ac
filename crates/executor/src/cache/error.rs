//! What about the cache ends a build.

use std::io;
use std::path::PathBuf;

use super::Reason;

/// Why the cache ends the build: always something that the user can put right, or asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A key that cannot be read.
    #[error("{flag}: read the key in `{}`", .path.display())]
    ReadKey {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// A file that holds no key.
    #[error("{flag}: `{}` holds no key: {reason}", .path.display())]
    NotAKey {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it; no part of a secret.
        reason: &'static str,
    },
    /// `--cache-tamper=fail`
    #[error(
        "the cache entry {entry} is forged or damaged: {reason}. --cache-tamper=fail ends the build here; remove the entry, or pass --cache-tamper=miss to build without it"
    )]
    Tampered {
        /// Its place.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl CacheError {
    pub(super) fn tampered(entry: String, reason: Reason) -> Self {
        let reason = format!("{reason} ({})", reason.label());
        Self::Tampered { entry, reason }
    }
}
