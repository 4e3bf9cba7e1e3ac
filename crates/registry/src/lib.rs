//! Moves blobs and manifests to and from a registry, an OCI layout or an archive; fetches files of the web.
//!
//! What enters: references, descriptors, credentials, growing spools of bytes. What leaves: verified bytes, and blobs and
//! manifests on the other side. What never happens here: bytes pass for a blob whose digest and size were not checked;
//! a credential goes to any host but the one it is for and the token server that a registry may name; a file is read
//! after [`Client::start`], since the root filesystem is replaced under us.
//!
//! Specifications: distribution-spec v1.1, image-spec v1.1 `image-layout.md`, Docker registry v2 authentication.
//!
//! # Who speaks HTTP
//!
//! Two clients share one configuration. [`oci_client`] pushes manifests by tag, with the tokens that our authenticator
//! puts in its cache. Everything else is our own requests on the same `reqwest`, because `oci-client` 0.18
//!
//! - reads manifests and error bodies without a limit, and follows redirects to any address,
//! - hides HTTP status and `Retry-After`, so that nothing can be retried by rule,
//! - uploads a growing blob in chunks of 4 MiB, each a request of its own, and loses the upload that a refused mount opens,
//! - asks for tokens of one repository only, knows no identity token, and takes a 200 of `/v2/` for "no credentials needed".
//!
//! When `oci-client` fails for whatever reason, our own request repeats its verb and has the last word. It is left out altogether
//! where it cannot be configured (client certificates, proxies) or built (it panics on a system without CA certificates).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use kigumi_registry::{Client, ClientConfig, NameFiles};
//!
//! let config = ClientConfig { names: NameFiles::read_system(), ..ClientConfig::default() };
//! let client = Client::start(config).await?;
//! let image = client.resolve(&"debian:bookworm".parse()?, &"linux/amd64".parse()?).await?;
//! println!("{} has {} layers", image.descriptor.digest, image.manifest.value().layers.len());
//! # Ok(())
//! # }
//! ```

mod archive;
mod archive_reader;
mod auth;
pub mod challenge;
mod client;
pub mod cloud;
mod error;
pub mod keychain;
mod layout;
mod limits;
mod name;
mod no_answer;
mod program;
mod retry;
mod routes;
mod secret;
mod spool;
pub mod store;
mod transport;
mod web;

pub use archive::{ArchiveWriter, UNNAMED};
pub use archive_reader::{ArchiveReader, ArchivedFile};
pub use client::{BlobSource, Client, PushOutcome, ResolvedImage};
pub use error::{Error, ErrorAnswer, Operation};
pub use layout::{LayoutImage, LayoutName, OciLayout};
pub use name::{Registry, Repository};
pub use no_answer::NoAnswer;
pub use retry::RetryPolicy;
pub use routes::{RegistryPath, Route, Routes};
pub use secret::Secret;
pub use spool::{Finished, Spool, SpoolFailure, SpoolReader, SpoolWriter};
pub use transport::{
    ClientCertificate, ClientConfig, Direction, NameFiles, Pem, Proxies, Relaxation, Timeouts,
};
pub use web::{Authentication, Downloaded, OpenFile, WebAnswer, WebBody, WebRequest, WebSource};
