//! The seam between a build and the processes it runs.

use crate::{Cancel, Error, Exit, Output, ProcessSpec, supervise};

/// Runs one process to its end. Real ones isolate; test support has one whose RUN is a closure
/// that edits a temporary root.
pub trait Runner {
    /// Runs `spec` and returns when it and everything it started are gone.
    ///
    /// # Errors
    /// The process could not be started, was cancelled, or something it left cannot be killed.
    /// That it failed is not an error but an [`Exit`].
    fn run(
        &mut self,
        spec: &ProcessSpec,
        out: &mut dyn Output,
        cancel: &Cancel,
    ) -> Result<Exit, Error>;
}

/// Runs on the executor's own root, as the pod's container lets it: what protects the node is the
/// container around us, what protects our memory is [`crate::harden_self`].
#[derive(Debug, Clone, Copy, Default)]
pub struct InPlace;

impl Runner for InPlace {
    fn run(
        &mut self,
        spec: &ProcessSpec,
        out: &mut dyn Output,
        cancel: &Cancel,
    ) -> Result<Exit, Error> {
        supervise::run(spec, out, cancel)
    }
}
