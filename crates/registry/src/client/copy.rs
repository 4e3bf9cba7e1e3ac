use std::path::Path;
use std::sync::Arc;

use kigumi_oci::Descriptor;

use super::push::BlobSource;
use super::{Client, PushOutcome};
use crate::transport::Direction;
use crate::{Error, Repository, Spool};

impl Client {
    /// Makes a blob of one repository one of another: by mounting where both are in one registry, else by a transfer
    /// through a spool in `spool_directory`, verified before the other end commits it.
    ///
    /// # Errors
    /// What either registry says.
    pub async fn copy_blob(
        &self,
        from: &Repository,
        to: &Repository,
        descriptor: &Descriptor,
        spool_directory: &Path,
    ) -> Result<PushOutcome, Arc<Error>> {
        if from == to || self.has_blob(to, descriptor).await {
            return Ok(PushOutcome::Existed);
        }
        if self.mount_near(from, to, descriptor).await? {
            return Ok(PushOutcome::Mounted);
        }
        self.transfer(from, to, descriptor, spool_directory).await
    }

    /// The same with a blob that is hardly there yet: it is mounted without asking first, and counts as mounted if it was there.
    ///
    /// # Errors
    /// What either registry says.
    pub async fn copy_new_blob(
        &self,
        from: &Repository,
        to: &Repository,
        descriptor: &Descriptor,
        spool_directory: &Path,
    ) -> Result<PushOutcome, Arc<Error>> {
        if from != to && self.mount_near(from, to, descriptor).await? {
            return Ok(PushOutcome::Mounted);
        }
        if from == to || self.has_blob(to, descriptor).await {
            return Ok(PushOutcome::Existed);
        }
        self.transfer(from, to, descriptor, spool_directory).await
    }

    /// Mounts a blob if both repositories are in one registry, and that registry does it.
    async fn mount_near(
        &self,
        from: &Repository,
        to: &Repository,
        descriptor: &Descriptor,
    ) -> Result<bool, Error> {
        Ok(from.registry() == to.registry() && self.mount(to, descriptor, from).await?)
    }

    async fn transfer(
        &self,
        from: &Repository,
        to: &Repository,
        descriptor: &Descriptor,
        spool_directory: &Path,
    ) -> Result<PushOutcome, Arc<Error>> {
        let (writer, spool) = Spool::create(spool_directory)?;
        let source = BlobSource {
            spool,
            mount_from: Vec::new(),
        };
        let (fetched, pushed) = tokio::join!(
            self.fetch_blob(from, descriptor, writer),
            self.push_blob(to, &source)
        );
        // A failed download fails the upload too; its own error tells why.
        fetched?;
        Ok(pushed?)
    }

    async fn has_blob(&self, repository: &Repository, descriptor: &Descriptor) -> bool {
        let found = self
            .blob_size_as(repository, descriptor.digest, Direction::Push)
            .await;
        matches!(found, Ok(Some(size)) if size == descriptor.size)
    }
}
