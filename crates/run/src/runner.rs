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

/// Runs on the executor's own root, as the pod's container lets it.
///
/// | a RUN as root | protected by |
/// |---|---|
/// | cannot see the executor's environment, descriptors, signals' dispositions | [`supervise`] |
/// | cannot read or trace the executor or its init (credentials) | [`crate::harden_self`], and a container without `CAP_SYS_PTRACE` |
/// | cannot leave a process behind that writes into a later layer | the sweep of [`supervise`] |
/// | cannot reach the node | the container, nothing here |
/// | **can** kill or stop the executor | the build ends or goes on ([`crate::init`]), never succeeds wrongly |
/// | **can** read processes that others started in the container, such as the shell of a CI job | nothing: start the executor without secrets in its parent's environment |
/// | cannot use the network, if [`crate::NetworkAccess::None`] says so | a seccomp filter |
/// | has no capability that Docker gives to no container, unless [`crate::CapabilityLimit::Executor`] says so | its bounding set |
/// | **can** use the pod's network otherwise, and the files that the executor has not hidden | nothing |
///
/// When the executor is killed and is not PID 1, the first process of the RUN dies with it;
/// what that has started is left to whoever started the executor.
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
