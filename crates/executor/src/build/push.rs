use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kigumi_oci::{Digest, MediaType, Reference};
use kigumi_plan::CacheKey;
use kigumi_registry::{BlobSource, Client, PushOutcome, Registry, Repository, Spool};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::layers::Layer;
use super::tags::Tags;
use crate::cache::{LayerBytes, Sent};
use crate::error::BuildError;
use crate::report::{BuildEvent, Events, Transfer};

/// How long a new layer may take before its upload starts without knowing its digest. A small one is done by then, and the registry can be asked
/// whether it has it. A guess that changes how bytes travel, never which.
const HEAD_START: Duration = Duration::from_millis(500);

/// Uploads that run beside the build.
#[derive(Debug)]
pub(crate) struct Uploads {
    client: Client,
    handle: Handle,
    events: Events,
    work: PathBuf,
    /// Repositories by registry: blobs are sent to the first and mounted in the others.
    targets: Vec<Vec<Repository>>,
    running: Vec<JoinHandle<Result<(), BuildError>>>,
    taken: Arc<Taken>,
    /// `--push-ignore-immutable-tag-errors`
    ignore_immutable_tags: bool,
}

impl Uploads {
    pub(crate) fn new(
        client: Client,
        handle: Handle,
        events: Events,
        work: PathBuf,
        destinations: &[Reference],
        ignore_immutable_tags: bool,
    ) -> Self {
        let mut targets: BTreeMap<Registry, Vec<Repository>> = BTreeMap::new();
        for repository in destinations.iter().map(Repository::of) {
            let repositories = targets.entry(repository.registry().clone()).or_default();
            if !repositories.contains(&repository) {
                repositories.push(repository);
            }
        }
        let targets = targets.into_values().collect();
        Self {
            client,
            handle,
            events,
            work,
            targets,
            running: Vec::new(),
            taken: Arc::default(),
            ignore_immutable_tags,
        }
    }

    /// The way of one blob to the repositories of one registry.
    fn task(&self, repositories: &[Repository]) -> Task {
        Task {
            client: self.client.clone(),
            events: self.events.clone(),
            repositories: repositories.to_vec(),
        }
    }

    /// Sends a layer that may still grow. What it gives tells the cache where to take the bytes from, and when.
    pub(crate) fn start(&mut self, spool: &Spool) -> LayerBytes {
        let (sending, sent) = Sent::new();
        for (target, repositories) in self.targets.iter().enumerate() {
            let task = self.task(repositories);
            let (spool, taken) = (spool.clone(), Arc::clone(&self.taken));
            let sending = Arc::clone(&sending);
            self.running.push(self.handle.spawn(async move {
                let _sending = sending;
                // Finished, failed or late: what matters is that it was waited for.
                drop(tokio::time::timeout(HEAD_START, spool.finished()).await);
                if let Ok(Some(finished)) = spool.try_finished()
                    && !taken.take(target, finished.digest)
                {
                    return Ok(());
                }
                task.push(&spool, Vec::new()).await
            }));
        }
        LayerBytes {
            spool: spool.clone(),
            near: self.targets.iter().flatten().cloned().collect(),
            sent: Some(sent),
        }
    }

    /// Brings a layer of the base to where the image goes: mounted where the registry has it, sent from its bytes if they are kept, else
    /// from registry to registry.
    /// `from` is the repository it is in, if that is one.
    pub(crate) fn start_base(&mut self, layer: &Layer, from: Option<&Repository>) {
        self.start_known(layer, from, |error| error);
    }

    /// The same with a layer of the cache. What goes wrong is the entry's fault.
    pub(crate) fn start_cached(&mut self, key: CacheKey, layer: &Layer, from: Option<&Repository>) {
        self.start_known(layer, from, move |error| BuildError::LostEntry {
            key,
            source: Some(Box::new(error)),
        });
    }

    fn start_known(
        &mut self,
        layer: &Layer,
        from: Option<&Repository>,
        blame: impl FnOnce(BuildError) -> BuildError + Clone + Send + 'static,
    ) {
        for repositories in &self.targets {
            let task = self.task(repositories);
            let (layer, from, work) = (layer.clone(), from.cloned(), self.work.clone());
            let blame = blame.clone();
            let foreign = from.as_ref().is_none_or(|from| {
                let mut targets = repositories.iter();
                targets.all(|target| target.registry() != from.registry())
            });
            self.running.push(self.handle.spawn(async move {
                let done = match (layer.spool.clone().filter(|_| foreign), from) {
                    (Some(spool), from) => task.push(&spool, from.into_iter().collect()).await,
                    (None, Some(from)) => task.copy(&layer, &from, &work).await,
                    (None, None) => layer.bytes().map(drop),
                };
                done.map_err(blame)
            }));
        }
    }

    /// Fails as soon as an upload has.
    pub(crate) fn check(&mut self) -> Result<(), BuildError> {
        let (done, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(JoinHandle::is_finished);
        self.running = running;
        self.handle.clone().block_on(join(done))
    }

    /// Waits for all of them.
    pub(crate) async fn finish(&mut self) -> Result<(), BuildError> {
        join(std::mem::take(&mut self.running)).await
    }

    /// Sends the config.
    pub(crate) async fn push_config(&self, bytes: &[u8]) -> Result<(), BuildError> {
        let spool = Spool::of_bytes(bytes.to_vec());
        let push = |repositories: &Vec<Repository>| {
            let (task, spool) = (self.task(repositories), spool.clone());
            self.handle
                .spawn(async move { task.push_silently(&spool).await })
        };
        join(self.targets.iter().map(push).collect()).await
    }

    /// Moves the tags: nothing may be missing by now.
    pub(crate) async fn push_manifests(
        &self,
        destinations: &[Reference],
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<(), BuildError> {
        let tags = Tags {
            client: self.client.clone(),
            handle: self.handle.clone(),
            events: self.events.clone(),
            ignore_immutable: self.ignore_immutable_tags,
        };
        tags.push(destinations, media_type, bytes).await
    }
}

pub(super) fn failed(operation: &str) -> impl FnOnce(kigumi_registry::Error) -> BuildError {
    let operation = operation.to_owned();
    move |source| BuildError::Registry {
        operation,
        source: Arc::new(source),
    }
}

pub(super) async fn join(tasks: Vec<JoinHandle<Result<(), BuildError>>>) -> Result<(), BuildError> {
    for task in tasks {
        task.await.map_err(|error| BuildError::Machine {
            operation: "wait for an upload",
            source: std::io::Error::other(error),
        })??;
    }
    Ok(())
}

/// Which layers are on their way to which target: two RUNs that change nothing make one layer (T-SNAP-22). Whoever finds its layer taken is done:
/// the image is finished only when every upload is.
#[derive(Debug, Default)]
struct Taken(Mutex<BTreeSet<(usize, Digest)>>);

impl Taken {
    /// Whether the caller is the first.
    fn take(&self, target: usize, digest: Digest) -> bool {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert((target, digest))
    }
}

/// One blob on its way to the repositories of one registry.
struct Task {
    client: Client,
    events: Events,
    repositories: Vec<Repository>,
}

impl Task {
    async fn push(&self, spool: &Spool, mount_from: Vec<Repository>) -> Result<(), BuildError> {
        let mut source = BlobSource {
            spool: spool.clone(),
            mount_from,
        };
        for repository in &self.repositories {
            let outcome = self
                .client
                .push_blob(repository, &source)
                .await
                .map_err(failed("push a layer"))?;
            if let Ok(Some(finished)) = spool.try_finished() {
                self.tell(repository, finished.digest, finished.size, outcome);
            }
            source.mount_from = vec![repository.clone()];
        }
        Ok(())
    }

    async fn push_silently(&self, spool: &Spool) -> Result<(), BuildError> {
        let mut source = BlobSource {
            spool: spool.clone(),
            mount_from: Vec::new(),
        };
        for repository in &self.repositories {
            self.client
                .push_blob(repository, &source)
                .await
                .map_err(failed("push the image config"))?;
            source.mount_from = vec![repository.clone()];
        }
        Ok(())
    }

    async fn copy(
        &self,
        layer: &Layer,
        from: &Repository,
        work: &std::path::Path,
    ) -> Result<(), BuildError> {
        let mut from = from.clone();
        for repository in &self.repositories {
            let outcome = self
                .client
                .copy_blob(&from, repository, &layer.descriptor, work)
                .await
                .map_err(|source| BuildError::Registry {
                    operation: format!(
                        "bring the base layer {} to {repository}",
                        layer.descriptor.digest
                    ),
                    source,
                })?;
            self.tell(
                repository,
                layer.descriptor.digest,
                layer.descriptor.size,
                outcome,
            );
            from = repository.clone();
        }
        Ok(())
    }

    fn tell(&self, repository: &Repository, digest: Digest, size: u64, outcome: PushOutcome) {
        let how = match outcome {
            PushOutcome::Existed => Transfer::Existed,
            PushOutcome::Mounted => Transfer::Mounted,
            PushOutcome::Uploaded { .. } => Transfer::Uploaded,
        };
        self.events.emit(BuildEvent::LayerPushed {
            repository: repository.to_string(),
            digest,
            size,
            how,
        });
    }
}
