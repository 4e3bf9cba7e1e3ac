use crate::Digest;

/// What can be wrong with a noun of the image specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A digest that is not `sha256:` and 64 lower-case hexadecimal digits.
    #[error("digest `{text}` is not of the form sha256:<64 hexadecimal digits>")]
    MalformedDigest {
        /// The text as it was found.
        text: String,
    },
    /// A digest of an algorithm that kigumi does not verify.
    #[error("digest `{text}` uses an algorithm that is not supported; only sha256 is")]
    UnsupportedAlgorithm {
        /// The text as it was found.
        text: String,
    },
    /// A platform that is not `os/architecture[/variant]`.
    #[error("platform `{text}` is not of the form os/architecture[/variant]")]
    MalformedPlatform {
        /// The text as it was found.
        text: String,
    },
    /// Bytes that do not have the digest by which they were asked for.
    #[error("blob {expected}: the bytes have the digest {actual}")]
    DigestMismatch {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of the bytes that came.
        actual: Digest,
    },
    /// A blob that is longer or shorter than its descriptor says.
    #[error("blob {digest}: {actual} bytes came, its descriptor says {expected}")]
    SizeMismatch {
        /// The digest that was asked for.
        digest: Digest,
        /// The size in the descriptor, in bytes.
        expected: u64,
        /// The bytes that came (one past the expected size when there were more).
        actual: u64,
    },
    /// A document that is not the JSON its media type promises.
    #[error("parse the {kind} {digest}")]
    Document {
        /// `manifest`, `index`, `image config`.
        kind: &'static str,
        /// The digest of the bytes.
        digest: Digest,
        /// What the JSON parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A document whose media type kigumi cannot build on.
    #[error(
        "{digest} has the media type `{media_type}`, which is neither an image manifest nor an index"
    )]
    UnexpectedMediaType {
        /// The digest of the bytes.
        digest: Digest,
        /// The media type that was found.
        media_type: String,
    },
}
