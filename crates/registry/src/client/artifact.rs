//! What is stored like an image and is none: a manifest by its tag, and the small blob that its config is. image-spec v1.1 manifest.md
//! § Guidelines for Artifact Usage.

use bytes::Bytes;
use kigumi_oci::{Descriptor, Reference};
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderValue};

use super::Client;
use super::manifest::{ACCEPTED, Target};
use super::request::Request;
use crate::auth::Scopes;
use crate::transport::Direction;
use crate::{Error, Operation, Repository};

impl Client {
    /// The bytes of the manifest that `reference` names, whatever they are; `None` when there is none. Bounded in size, and verified where the
    /// digest is known.
    ///
    /// # Errors
    /// What the registry says, save that there is no such manifest.
    pub async fn fetch_manifest_bytes(
        &self,
        reference: &Reference,
    ) -> Result<Option<Vec<u8>>, Error> {
        let repository = Repository::of(reference);
        let target = Target::of(reference)?;
        let what = format!("fetch manifest `{}` of", target.text());
        let operation = Operation::new(what, &repository);
        let endpoint = self
            .endpoint(&repository, Direction::Pull, &operation)
            .await?;
        let scopes = Scopes::new(&repository, Direction::Pull);
        let url = endpoint.url(repository.name(), &format!("manifests/{}", target.text()));
        let request = Request::new((&endpoint, &operation, &scopes), Method::GET, url)
            .header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        match self
            .retrying(&operation, || self.get_document(&request))
            .await
        {
            Ok((_, body)) => {
                target.check(&operation, &body)?;
                Ok(Some(body.into()))
            }
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A whole blob in memory, verified; larger ones than `limit` are refused before a byte is fetched.
    ///
    /// # Errors
    /// What the registry says, or that the bytes are not those that `descriptor` promises.
    pub async fn fetch_blob_bytes(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, Error> {
        self.fetch_small_blob(repository, descriptor, limit).await
    }
}
