//! The nouns of the OCI image specification, byte-exact.
//!
//! What enters: bytes of manifests, indexes and configs, and the digests they are known by. What leaves: the same bytes
//! beside typed values ([`Raw`]), and readers that cannot be read except through a check ([`Verified`]).
//!
//! What never happens here: no file, network, clock or environment; a document that was read is never written
//! again from its value, since re-serialising must never change a digest.
//!
//! Specifications: image-spec v1.1 (`descriptor.md`, `manifest.md`, `image-index.md`, `config.md`, `layer.md`),
//! distribution-spec v1.1 for references; Docker's image config v1.2 for the fields that OCI lacks.
//!
//! ```
//! use kigumi_oci::Digest;
//! let digest = Digest::of(b"");
//! assert_eq!(
//!     digest.to_string(),
//!     "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
//! );
//! ```

mod chain_id;
mod config;
mod descriptor;
mod digest;
mod error;
mod manifest;
mod media_type;
mod platform;
mod raw;
mod reference;
mod verified;

pub use chain_id::ChainId;
pub use config::{
    ContainerConfig, Healthcheck, HistoryEntry, ImageConfig, RootFs, env_key, env_value,
};
pub use descriptor::Descriptor;
pub use digest::{DiffId, Digest, Digester};
pub use error::Error;
pub use manifest::{Document, Index, Manifest};
pub use media_type::{
    Compression, ImageFormat, MediaType, layer_compression, layer_media_type, media,
};
pub use oci_spec::distribution::Reference;
pub use platform::Platform;
pub use raw::Raw;
pub use reference::{ReferenceError, parse_reference};
pub use verified::Verified;
