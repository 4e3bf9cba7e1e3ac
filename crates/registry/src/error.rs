use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::net::NetError;
use kigumi_oci::Digest;

use crate::{NoAnswer, Repository, SpoolFailure};

/// What was being done, and where: the subject of every error about a registry or a file of the web. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation(Arc<Subject>);

#[derive(PartialEq, Eq, Debug)]
struct Subject {
    what: String,
    place: String,
}

impl Operation {
    pub(crate) fn new(what: impl Into<String>, repository: &Repository) -> Self {
        Self::at(what, repository.to_string())
    }

    /// The same somewhere else. `place` must not hold what nobody may see: users and queries of URLs.
    pub(crate) fn at(what: impl Into<String>, place: String) -> Self {
        Self(Arc::new(Subject {
            what: what.into(),
            place,
        }))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.0.what, self.0.place)
    }
}

/// An answer that is an error: distribution-spec v1.1 § Error Codes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The first error's code (`DENIED`, `MANIFEST_UNKNOWN`, …), when the body is of the specification's form.
    pub code: Option<String>,
    /// The registry's own words, shortened and without secrets; empty when there are none.
    pub message: String,
    /// Which credential went with the request, for people.
    pub credential: String,
    /// How long the registry wants us to wait.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for ErrorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        write!(f, " ({})", self.credential)
    }
}

/// What can go wrong between us and a registry, a layout or an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A spool file could not be created.
    #[error("create a spool file in `{}`", directory.display())]
    Spool {
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A spool's writer promised another size than it wrote.
    #[error("blob {digest}: {written} bytes were written, {size} were promised")]
    SpoolSize {
        /// The promised digest.
        digest: Digest,
        /// What was written, in bytes.
        written: u64,
        /// What was promised, in bytes.
        size: u64,
    },
    /// A spool's writer went away without finishing.
    #[error("the writer of a spool went away before its end")]
    SpoolAbandoned,
    /// A spool whose bytes were to be read once was read again.
    #[error(
        "the bytes were given back while they were read for the first time; this is a defect of kigumi, please report it"
    )]
    SpoolPassed,
    /// Bytes that arrived could not be stored.
    #[error("{operation}: write to the spool")]
    SpoolWrite {
        /// What was being done.
        operation: Operation,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bytes to upload could not be produced.
    #[error("{operation}: read what is to be uploaded")]
    Source {
        /// What was being done.
        operation: Operation,
        /// Why.
        #[source]
        source: SpoolFailure,
    },
    /// A CA bundle or client certificate that is not PEM.
    #[error("read the certificates of {origin}")]
    Certificates {
        /// Where they came from, for people.
        origin: String,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client could not be set up.
    #[error("set up the HTTP client")]
    Setup {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The HTTP client could not be set up for TLS.
    #[error("set up TLS")]
    SetupTls {
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// No answer came.
    #[error("{operation}: no answer")]
    Transport {
        /// What was being done.
        operation: Operation,
        /// Why; URLs are left out, since they may carry signatures.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is an error.
    #[error("{operation}: {answer}")]
    Status {
        /// What was being done.
        operation: Operation,
        /// What the registry says.
        answer: Box<ErrorAnswer>,
    },
    /// The token server's answer is an error.
    #[error("{operation}: get a token from {realm}: {answer}")]
    TokenStatus {
        /// What was being done.
        operation: Operation,
        /// The origin of the token server.
        realm: String,
        /// What it says.
        answer: Box<ErrorAnswer>,
    },
    /// The registry asks for credentials and there are none that fit.
    #[error("{operation}: {reason} ({credential})")]
    Unauthenticated {
        /// What was being done.
        operation: Operation,
        /// What is wrong.
        reason: String,
        /// Which credential was tried, for people.
        credential: String,
    },
    /// The transfer stopped.
    #[error("{operation}: nothing moved for {} s", after.as_secs())]
    Stalled {
        /// What was being done.
        operation: Operation,
        /// How long was waited.
        after: Duration,
    },
    /// An answer that the distribution specification does not allow.
    #[error("{operation}: {what}")]
    Protocol {
        /// What was being done.
        operation: Operation,
        /// What is wrong with the answer.
        what: String,
    },
    /// A URL that a server supplied and that is not followed.
    #[error("{operation}: it points to {url}: {reason}")]
    RefusedUrl {
        /// What was being done.
        operation: Operation,
        /// The URL without query.
        url: String,
        /// Which rule it breaks.
        reason: String,
    },
    /// A blob or file that ended too early, attempt after attempt.
    #[error("{operation}: it ended after {actual} of {expected} bytes")]
    Truncated {
        /// What was being done.
        operation: Operation,
        /// The size that was promised, in bytes.
        expected: u64,
        /// What came, in bytes.
        actual: u64,
    },
    /// A document or blob that is larger than allowed.
    #[error("{operation}: larger than the limit of {limit} bytes")]
    TooLarge {
        /// What was being done.
        operation: Operation,
        /// The limit in bytes.
        limit: u64,
    },
    /// A text that is no URL of a file.
    #[error("`{url}` cannot be fetched: {reason}")]
    Url {
        /// The text, without a user in it.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A credential for a URL that no header can hold.
    #[error("{source_name} cannot be sent: it holds line breaks or other control characters")]
    UnusableCredential {
        /// Where it came from.
        source_name: String,
    },
    /// Bytes that are not what was asked for.
    #[error("{operation}")]
    Content {
        /// What was being done.
        operation: Operation,
        /// What is wrong with the bytes.
        #[source]
        source: kigumi_oci::Error,
    },
    /// An index without the platform that was asked for.
    #[error("{subject} has no image for {wanted}; it has {}", list(available))]
    NoPlatform {
        /// The image.
        subject: String,
        /// The platform that was asked for.
        wanted: String,
        /// What it has.
        available: Vec<String>,
    },
    /// Indexes inside indexes, too deep or in a circle.
    #[error("{subject}: its indexes are nested deeper than {limit} or in a circle")]
    NestedIndexes {
        /// The image.
        subject: String,
        /// The limit.
        limit: usize,
    },
    /// A config that does not fit its manifest.
    #[error("{subject}: its manifest has {layers} layers, its config {diff_ids} diff_ids")]
    LayerCount {
        /// The image.
        subject: String,
        /// Layers in the manifest.
        layers: usize,
        /// `diff_ids` in the config.
        diff_ids: usize,
    },
    /// Something that is stored like an image but is none.
    #[error("{subject} is not a container image: its config is of type `{media_type}`")]
    NotAnImage {
        /// The artifact.
        subject: String,
        /// The media type of its config.
        media_type: String,
    },
    /// A reference whose digest is malformed or of an unknown algorithm.
    #[error("reference `{reference}`")]
    Reference {
        /// The reference as written.
        reference: String,
        /// What is wrong with it.
        #[source]
        source: kigumi_oci::Error,
    },
    /// A `config.json` that is not one.
    ///
    /// The parser's own words are left out, since they quote values.
    #[error(
        "read the credentials in {origin}: not a Docker config.json (line {line}, column {column})"
    )]
    Credentials {
        /// Where they came from.
        origin: String,
        /// Where the parser gave up.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// An `auth` of a `config.json` that is not base64 of `user:password`.
    #[error("{origin}: the entry `{key}` has an `auth` that is not base64 of user:password")]
    MalformedAuth {
        /// Where it came from.
        origin: String,
        /// The entry.
        key: String,
    },
    /// A credential helper that is needed and not there.
    #[error(
        "{origin} wants the program `docker-credential-{helper}` for {registry}, and it is not on the path"
    )]
    NoHelper {
        /// Where it is asked for.
        origin: String,
        /// Its name.
        helper: String,
        /// For which registry.
        registry: String,
    },
    /// A credential helper that failed.
    #[error("`docker-credential-{helper}` for {registry}: {reason}")]
    Helper {
        /// Its name.
        helper: String,
        /// For which registry.
        registry: String,
        /// What went wrong, without its output, which may hold secrets.
        reason: String,
    },
    /// A cloud's registry, and no credential from that cloud.
    #[error("credentials for `{registry}`")]
    Identity {
        /// For which registry.
        registry: String,
        /// Why not.
        #[source]
        source: Box<crate::cloud::Error>,
    },
    /// A layout or archive could not be read or written.
    #[error("{what} `{}`", path.display())]
    File {
        /// `create`, `read`, `write`, …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document in a layout that is not what it should be.
    #[error("layout `{}`: {what}", path.display())]
    Layout {
        /// The layout.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A document in a layout that cannot be read.
    #[error("layout `{}`", path.display())]
    LayoutContent {
        /// The layout.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: kigumi_oci::Error,
    },
    /// An archive that is not one of an image.
    #[error("archive `{}`: {what}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Bytes to put into a layout or archive that are not those promised.
    #[error("blob {digest} for `{}`", path.display())]
    PutBlob {
        /// The layout or archive.
        path: PathBuf,
        /// The blob.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
}

/// COMPAT(kaniko): registries have no code for it, only words: those of Google's Artifact Registry, of ECR and of Harbor.
const IMMUTABLE: [&str; 4] = [
    "The repository has enabled tag immutability",
    "cannot be overwritten because the repository is immutable",
    "cannot be overwritten because the tag is immutable",
    "configured as immutable",
];

impl Error {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        if let Self::Transport { source, .. } = self {
            // Who answers TLS with plain HTTP will do so in a second, too.
            let is_plain = self.no_answer() == Some(NoAnswer::PlainHttp);
            return !source.is_builder() && !self.is_settled() && !is_plain;
        }
        matches!(self, Self::Stalled { .. } | Self::Truncated { .. })
            || self
                .answer()
                .is_some_and(|answer| crate::retry::is_transient(answer.status))
    }

    /// Whether there is no answer for a cause that will be the same in a second: a certificate that is not trusted, an
    /// address that is not allowed, a name that does not exist.
    pub(crate) fn is_settled(&self) -> bool {
        self.transport_causes().any(|error| {
            let io = error.downcast_ref::<io::Error>();
            let tls = error.downcast_ref::<rustls::Error>();
            let name = error.downcast_ref::<NetError>();
            matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
                || io.is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied)
                || name.is_some_and(NetError::is_nx_domain)
        })
    }

    /// Whether a registry or its token server did not let us in, and which credential went with the request, for people.
    pub fn refused_credential(&self) -> Option<&str> {
        if let Self::Unauthenticated { credential, .. } = self {
            return Some(credential);
        }
        let answer = self.answer()?;
        matches!(answer.status, 401 | 403).then_some(answer.credential.as_str())
    }

    /// Whether somebody was not allowed to do something, or is not known.
    pub fn is_about_permission(&self) -> bool {
        matches!(self, Self::Unauthenticated { .. })
            || self
                .answer()
                .is_some_and(|answer| matches!(answer.status, 401 | 403))
    }

    /// Whether the registry says that a tag names something else already and may not be moved (`--push-ignore-immutable-tag-errors`).
    pub fn is_immutable_tag(&self) -> bool {
        let Self::Status { answer, .. } = self else {
            return false;
        };
        (400..500).contains(&answer.status)
            && IMMUTABLE.iter().any(|text| answer.message.contains(text))
    }

    /// The answer, when there was one.
    pub fn answer(&self) -> Option<&ErrorAnswer> {
        if let Self::Status { answer, .. } | Self::TokenStatus { answer, .. } = self {
            return Some(answer);
        }
        None
    }

    /// The HTTP status of the registry's answer.
    pub fn status(&self) -> Option<u16> {
        if let Self::Status { answer, .. } = self {
            return Some(answer.status);
        }
        None
    }
}

fn list(platforms: &[String]) -> String {
    if platforms.is_empty() {
        "none".to_owned()
    } else {
        platforms.join(", ")
    }
}
