//! Where a repository is looked for: in the places that its routes name, then in itself.

use std::sync::PoisonError;

use super::Client;
use super::attempts::chain;
use crate::{Error, Repository};

impl Client {
    /// Where an image is looked for.
    pub(super) fn places(&self, repository: &Repository) -> (Repository, Vec<Repository>) {
        self.inner.config.routes.places(repository)
    }

    /// Where a blob is looked for: where the image was found that it belongs to, then in the other places. What no image was found in, what
    /// a build has put there itself above all, is in the repository itself.
    pub(super) fn places_of_blobs(&self, repository: &Repository) -> (Repository, Vec<Repository>) {
        let Some(found) = self.found(repository) else {
            return (repository.clone(), Vec::new());
        };
        let (first, mut rest) = self.places(repository);
        rest.insert(0, first);
        rest.retain(|place| *place != found);
        (found, rest)
    }

    /// Where a repository was found, if it has routes.
    pub(super) fn found(&self, repository: &Repository) -> Option<Repository> {
        let found = self.inner.found.lock();
        let found = found.unwrap_or_else(PoisonError::into_inner);
        found.get(repository).cloned()
    }

    /// Its layers are where its manifest was.
    pub(super) fn remember(&self, repository: &Repository, place: &Repository) {
        let (first, rest) = self.places(repository);
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
