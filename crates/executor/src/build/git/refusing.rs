//! An executor without git.

use std::fs::File;
use std::sync::Arc;

use kigumi_context::git::GitReference;
use kigumi_layer::{Timestamp, Tree};
use kigumi_registry::Client;

use crate::build::contents::Contents;
use crate::build::main_context::Means;
use crate::build::rounds::World;
use crate::build::workshop::Workshop;
use crate::error::BuildError;
use crate::secrets::Secrets;

/// Refuses a repository as the build context.
pub(crate) fn main_context(
    reference: &GitReference,
    _: &Means<'_>,
    _: &str,
) -> Result<(Tree, File, u64), BuildError> {
    GitTrees::check(reference)?;
    Err(BuildError::Refused {
        reason: "this executor was built without git".to_owned(),
    })
}

/// Refuses every git repository by its name.
#[derive(Debug)]
pub(crate) struct GitTrees;

impl GitTrees {
    pub(crate) fn new(_: Client) -> Self {
        Self
    }

    pub(crate) fn check(reference: &GitReference) -> Result<(), BuildError> {
        Err(BuildError::Copy {
            message: format!(
                "git repository `{}`: this executor was built without git (its feature `git`)",
                reference.remote
            ),
            source: None,
        })
    }

    pub(crate) fn time(reference: &GitReference, _: &World<'_>) -> Result<i64, BuildError> {
        Self::check(reference)?;
        Ok(0)
    }

    #[expect(clippy::unused_self, reason = "as the one that fetches")]
    pub(crate) fn get(
        &mut self,
        reference: &GitReference,
        _: &Secrets,
        _: &Workshop,
        _: &mut Contents,
        _: Timestamp,
    ) -> Result<Arc<Tree>, BuildError> {
        Self::check(reference)?;
        Ok(Arc::default())
    }
}
