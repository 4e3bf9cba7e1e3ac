//! Fixtures by code: an in-process registry that speaks real HTTP, and images for it; git servers and their repositories.
//!
//! What enters: test code. What leaves: a registry on loopback that checks what real ones check (digests, the order of an
//! upload, that a manifest's blobs are there, tokens and their scopes), that can be told to fail, and that remembers every
//! request. What never happens here: a dependency on the crate under test; what the two agree on is HTTP.
//!
//! ```
//! use kigumi_testkit::{FakeRegistry, TestImage};
//!
//! let registry = FakeRegistry::start();
//! let image = TestImage::new().file("etc/motd", b"hello").publish(&registry, "base", "1");
//! assert!(registry.has_blob("base", image.layers[0].digest));
//! ```

mod fake_registry;
mod git_server;
mod image;
mod program;
mod service;

pub use fake_registry::{
    Action, Authentication, FakeRegistry, FakeRegistryBuilder, Fault, Identity, LoggedRequest,
    Mounts, When,
};
pub use git_server::{GitRequest, GitServer, GitServerOptions, TestRepository};
pub use image::{PublishedImage, TestImage};
pub use program::write_program;
pub use service::{FakeService, ServiceAnswer, ServiceRequest, Tunnel};
