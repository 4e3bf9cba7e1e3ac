//! The lab: real registries, real base images and a runner that starts the executor as a kubelet
//! would, as a library for the test targets of this package and for `cargo xtask demo`.
//!
//! Enters: Dockerfiles and contexts made in code. Leaves: images read back from a registry, judged
//! by code that shares nothing with the product, and by other people's tools.
//! Never happens here: a change of the machine's own configuration (all state lives below
//! `target/lab-state` or `$KIGUMI_LAB`, sockets below `/run/kigumi-lab-*`), a test that passes because
//! something was missing.
//!
//! ```no_run
//! use kigumi_tests::{Context, Image, Lab, Pod};
//!
//! # fn main() -> anyhow::Result<()> {
//! let lab = Lab::get()?;
//! let dockerfile = format!("FROM {}\nRUN echo hello > /hello\n", lab.busybox()?);
//! let destination = lab.destination("example:latest");
//! let outcome = Pod::new(lab)
//!     .context(Context::new(lab)?.file("Dockerfile", &dockerfile)?)
//!     .args(["--destination", &destination])
//!     .run()?;
//! outcome.success()?;
//! Image::pull(lab.plain(), "example:latest")?.strict()?;
//! # Ok(())
//! # }
//! ```
#![expect(
    clippy::missing_errors_doc,
    reason = "a lab: everything fails with anyhow, and the error says which tool or fact was missing"
)]

pub mod conformance;
pub mod image;
pub mod lab;
pub mod measured;

mod agent;
mod built;
mod canaries;
mod context;
mod front;
mod peer;
mod play;
mod pod;
mod proxy;
mod root_state;
mod service;
mod store;
mod tool;
mod web;

pub use agent::{SshAgent, SshKey};
pub use built::Built;
pub use canaries::Canaries;
pub use context::Context;
pub use front::{Asked, Front, Trouble};
pub use image::{Image, ImageBuilder, Index, LayerBuilder};
pub use lab::{Lab, Registry, Variant};
pub use peer::{Bundle, Peer};
pub use play::{Play, Played, Playing};
pub use pod::{Outcome, Pod, RunningPod};
pub use proxy::{Direction, Proxy};
pub use root_state::RootState;
pub use service::Service;
pub use store::Store;
pub use tool::{Output, attempt, run};
pub use web::{Web, WebAnswer, WebRequest};
