use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Whose credentials are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Provider {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Google,
    /// Microsoft Azure.
    Azure,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "AWS",
            Self::Google => "Google Cloud",
            Self::Azure => "Azure",
        })
    }
}

/// Why a cloud gives no credential. Every text names the provider and what was tried, and none holds a value.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A variable or a file says something that cannot be used.
    #[error("{provider}: {what}; {fix}")]
    Configuration {
        /// Whose.
        provider: Provider,
        /// What is wrong.
        what: String,
        /// What to do about it.
        fix: String,
    },
    /// Nothing says who this pod is.
    #[error("{provider}: this pod has no identity there (looked at {tried}); {fix}")]
    NoIdentity {
        /// Whose.
        provider: Provider,
        /// Where it was looked.
        tried: &'static str,
        /// What to do about it.
        fix: &'static str,
    },
    /// A file cannot be read.
    #[error("{provider}: read `{}`, named by {named_by}", .path.display())]
    Read {
        /// Whose.
        provider: Provider,
        /// Which.
        path: PathBuf,
        /// The variable or file that names it.
        named_by: String,
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
    /// No answer came.
    #[error("{provider}: {what} at {origin}: no answer")]
    NoAnswer {
        /// Whose.
        provider: Provider,
        /// What was asked for.
        what: String,
        /// Scheme, host and port that were asked.
        origin: String,
        /// Why; the URL is left out, since it may hold a token.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is a refusal.
    #[error("{provider}: {what} at {origin}: HTTP {status}{}{}; {fix}", if .message.is_empty() { "" } else { ": " }, .message)]
    Refused {
        /// Whose.
        provider: Provider,
        /// What was asked for.
        what: String,
        /// Scheme, host and port that were asked.
        origin: String,
        /// The status.
        status: u16,
        /// The provider's own words, shortened.
        message: String,
        /// What to do about it.
        fix: String,
    },
    /// The answer is of no use.
    #[error("{provider}: {what} at {origin}: {why}")]
    Answer {
        /// Whose.
        provider: Provider,
        /// What was asked for.
        what: String,
        /// Scheme, host and port that were asked.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// The HTTP status of a refusal.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Configuration { .. }
            | Self::NoIdentity { .. }
            | Self::Read { .. }
            | Self::NoAnswer { .. }
            | Self::Answer { .. } => None,
        }
    }

    pub(crate) fn configuration(
        provider: Provider,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::Configuration {
            provider,
            what: what.into(),
            fix: fix.into(),
        }
    }
}
