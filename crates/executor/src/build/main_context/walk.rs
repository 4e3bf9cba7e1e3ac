//! The files of the context, looked at while a base is read or unpacked.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use kigumi_layer::Tree;

use super::MainContext;
use crate::build::contents::Contents;
use crate::error::BuildError;

/// The files of the context while somebody looks at them. Dropped, it leaves its thread to come to its end.
#[derive(Debug)]
pub(crate) struct Walk(JoinHandle<Result<Arc<Tree>, BuildError>>);

impl MainContext {
    /// Begins to look at the files of the context, as [`MainContext::tree`] does.
    ///
    /// # Errors
    /// [`BuildError::Context`] when it cannot be opened.
    pub(crate) fn begin(self: &Arc<Self>, contents: &mut Contents) -> Result<Walk, BuildError> {
        let (context, opened) = (Arc::clone(self), self.enter(contents)?);
        let thread = thread::Builder::new()
            .name("context".to_owned())
            .spawn(move || context.look(opened))
            .map_err(|source| BuildError::Machine {
                operation: "start a thread that looks at the build context",
                source,
            })?;
        Ok(Walk(thread))
    }
}

impl Walk {
    /// Waits for the files.
    ///
    /// # Errors
    /// [`BuildError::Context`].
    pub(crate) fn finish(self) -> Result<Arc<Tree>, BuildError> {
        self.0
            .join()
            .map_err(|_| BuildError::panicked("look at the build context"))?
    }
}
