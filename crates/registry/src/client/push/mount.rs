use kigumi_oci::{Descriptor, Digest};
use reqwest::{Method, StatusCode};

use super::Push;
use super::session::{Session, empty, session};
use crate::auth::Scopes;
use crate::client::{Client, Endpoint};
use crate::transport::Direction;
use crate::{Error, Operation, Repository};

/// What became of a request to mount.
pub(super) enum Mount {
    Done,
    /// The registry opened an upload instead.
    Upload(Session),
    No,
}

impl Client {
    /// Mounts a blob of `from` in `to`; false when the registry does not.
    pub(in crate::client) async fn mount(
        &self,
        to: &Repository,
        descriptor: &Descriptor,
        from: &Repository,
    ) -> Result<bool, Error> {
        let what = format!("mount blob {} of `{from}` in", descriptor.digest);
        let operation = Operation::new(what, to);
        let endpoint = self.endpoint(to, Direction::Push, &operation).await?;
        let mounted = self.mount_one((&endpoint, &operation), to, descriptor.digest, from);
        match mounted.await {
            Ok(Mount::Done) => Ok(true),
            // The opened upload is left to the registry's housekeeping.
            Ok(Mount::Upload(_) | Mount::No) => Ok(false),
            Err(error) => {
                tracing::debug!(%error, "not mounted");
                Ok(false)
            }
        }
    }

    pub(super) async fn mount_any(&self, push: &Push<'_>, digest: Digest) -> Mount {
        let (registry, operation) = (push.target.registry(), push.operation);
        let given = push.source.mount_from.iter();
        // What came through a mirror is in the mirror.
        let near = given.flat_map(|from| [self.found(from), Some(from.clone())]);
        let near: Vec<Repository> = near
            .flatten()
            .filter(|from| from.registry() == registry && from != push.target)
            .collect();
        for from in near {
            let asker = (push.endpoint, operation);
            match self.mount_one(asker, push.target, digest, &from).await {
                Ok(Mount::No) => {}
                Ok(outcome) => return outcome,
                // T-PUSH-05, T-PUSH-06: a mount that is refused is an upload.
                Err(error) => tracing::debug!(%error, "not mounted"),
            }
        }
        Mount::No
    }

    async fn mount_one(
        &self,
        asker: (&Endpoint, &Operation),
        to: &Repository,
        digest: Digest,
        from: &Repository,
    ) -> Result<Mount, Error> {
        let (endpoint, operation) = asker;
        let scopes = Scopes::new(to, Direction::Push).and_pull(from);
        let mut url = endpoint.url(to.name(), "blobs/uploads/");
        url.query_pairs_mut()
            .append_pair("mount", &digest.to_string())
            .append_pair("from", from.name());
        let request = empty((endpoint, operation, &scopes), Method::POST, url);
        let answered = self.send(&request).await?;
        match answered.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => session(endpoint, operation, &answered).map(Mount::Upload),
            _ => Ok(Mount::No),
        }
    }
}
