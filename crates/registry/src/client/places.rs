//! Where a repository is looked for: in the places that its routes name, then in itself.

use std::sync::PoisonError;

use super::Client;
use super::attempts::chain;
use crate::{Error, Repository};

impl Client {
    /// The same client without routes: everything is asked for where it says itself that it is. For what was pushed by the same build,
    /// or will be.
    #[must_use]
    pub fn without_routes(&self) -> Self {
        Self {
            routed: false,
            ..self.clone()
        }
    }

    /// The places of a repository, the one in which it was found before the others.
    pub(super) fn places(&self, repository: &Repository) -> (Repository, Vec<Repository>) {
        if !self.routed {
            return (repository.clone(), Vec::new());
        }
        let (first, mut rest) = self.inner.config.routes.places(repository);
        match self.found(repository) {
            Some(found) if found != first => {
                rest.retain(|place| *place != found);
                rest.insert(0, first);
                (found, rest)
            }
            _ => (first, rest),
        }
    }

    /// Where a repository was found, if it has routes.
    pub(super) fn found(&self, repository: &Repository) -> Option<Repository> {
        let found = self.inner.found.lock();
        let found = found.unwrap_or_else(PoisonError::into_inner);
        found.get(repository).cloned()
    }

    /// Its layers are where its manifest was.
    pub(super) fn remember(&self, repository: &Repository, place: &Repository) {
        if !self.routed {
            return;
        }
        let (first, rest) = self.inner.config.routes.places(repository);
        if first == *repository && rest.is_empty() {
            return;
        }
        tracing::info!("`{repository}` is read from `{place}`");
        let found = self.inner.found.lock();
        let mut found = found.unwrap_or_else(PoisonError::into_inner);
        found.insert(repository.clone(), place.clone());
    }
}

/// Tells that a place did not do.
pub(super) fn pass_over(error: &Error, next: &Repository) {
    tracing::warn!("{}; looking in `{next}` instead", chain(error));
}
