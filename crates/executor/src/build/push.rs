use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

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

/// How many bytes a new layer may have before its upload starts without knowing its digest. Of a smaller one the digest is waited for, and the
/// registry can be asked whether it has it. Bytes and not time: what is sent does not depend on how busy the machine is.
const HEAD_START: u64 = 16 << 20;

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
    /// Layers that wait to be mounted, until one is sent that was nowhere before: if the whole image turns out to be there, none has to be.
    near: Option<Vec<Known>>,
    /// Targets, by number, that have the image.
    complete: BTreeSet<usize>,
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
            near: Some(Vec::new()),
            complete: BTreeSet::new(),
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
        self.send_near();
        let (sending, sent) = Sent::new();
        for (target, repositories) in self.targets.iter().enumerate() {
            let task = self.task(repositories);
            let (spool, taken) = (spool.clone(), Arc::clone(&self.taken));
            let sending = Arc::clone(&sending);
            self.running.push(self.handle.spawn(async move {
                let _sending = sending;
                // One that failed says so when it is read.
                if let Ok(Some(finished)) = spool.finished_or_beyond(HEAD_START).await
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
        self.start_known(layer, from, None);
    }

    /// The same with a layer of the cache. What goes wrong is the entry's fault.
    pub(crate) fn start_cached(&mut self, key: CacheKey, layer: &Layer, from: Option<&Repository>) {
        self.start_known(layer, from, Some(key));
    }

    fn start_known(&mut self, layer: &Layer, from: Option<&Repository>, key: Option<CacheKey>) {
        for target in 0..self.targets.len() {
            let mut known = Known {
                target,
                layer: layer.clone(),
                from: from.cloned(),
                key,
            };
            let is_near = known.is_near(repositories(&self.targets, target));
            if is_near {
                // It is mounted, and its bytes are not held for that.
                known.layer.spool = None;
            }
            match &mut self.near {
                Some(near) if is_near => near.push(known),
                Some(_) | None => self.send_known(known),
            }
        }
    }

    fn send_known(&mut self, known: Known) {
        let repositories = repositories(&self.targets, known.target);
        let (task, work) = (self.task(repositories), self.work.clone());
        let Known {
            layer, from, key, ..
        } = known;
        self.running.push(self.handle.spawn(async move {
            let done = match (layer.spool.clone(), from) {
                (Some(spool), from) => task.push(&spool, from.into_iter().collect()).await,
                (None, Some(from)) => task.copy(&layer, &from, key.is_some(), &work).await,
                (None, None) => layer.bytes().map(drop),
            };
            done.map_err(|error| match key {
                Some(key) => BuildError::LostEntry {
                    key,
                    source: Some(Box::new(error)),
                },
                None => error,
            })
        }));
    }

    /// Sends what waits to be mounted, and lets nothing wait any more.
    fn send_near(&mut self) {
        for near in self.near.take().into_iter().flatten() {
            self.send_known(near);
        }
    }

    /// Brings what is missing of an image, all but the config and the manifest. Where every step came from the cache, a registry that has the manifest is
    /// asked for nothing else.
    pub(crate) async fn finish_image(&mut self, manifest: Digest) -> Result<(), BuildError> {
        let mut near = self.near.take().unwrap_or_default();
        if near.iter().any(|known| known.key.is_some()) {
            for (target, repositories) in self.targets.iter().enumerate() {
                if self.is_everywhere(repositories, manifest).await {
                    self.complete.insert(target);
                }
            }
            near.retain(|known| {
                let is_missing = !self.complete.contains(&known.target);
                if !is_missing {
                    self.tell_of(known);
                }
                is_missing
            });
        }
        self.near = Some(near);
        self.finish().await
    }

    async fn is_everywhere(&self, repositories: &[Repository], manifest: Digest) -> bool {
        for repository in repositories {
            if !self.client.has_manifest(repository, manifest).await {
                return false;
            }
        }
        true
    }

    /// Tells that a layer was there.
    fn tell_of(&self, there: &Known) {
        let repositories = repositories(&self.targets, there.target);
        let (task, blob) = (self.task(repositories), &there.layer.descriptor);
        for repository in repositories {
            task.tell(repository, blob.digest, blob.size, PushOutcome::Existed);
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
        self.send_near();
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
        let missing = self.targets.iter().enumerate();
        let missing = missing.filter(|(target, _)| !self.complete.contains(target));
        join(
            missing
                .map(|(_, repositories)| push(repositories))
                .collect(),
        )
        .await
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

/// A layer that is somewhere already, on its way to one target.
#[derive(Debug)]
struct Known {
    /// The number of the target.
    target: usize,
    layer: Layer,
    /// The repository it is in, if that is one.
    from: Option<Repository>,
    /// Of the entry of the cache that it comes from.
    key: Option<CacheKey>,
}

impl Known {
    /// Whether it is in the registry of its target.
    fn is_near(&self, target: &[Repository]) -> bool {
        self.from.as_ref().is_some_and(|from| {
            let mut target = target.iter();
            target.all(|repository| repository.registry() == from.registry())
        })
    }
}

fn repositories(targets: &[Vec<Repository>], target: usize) -> &[Repository] {
    targets.get(target).map_or(&[], Vec::as_slice)
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
        is_new: bool,
        work: &std::path::Path,
    ) -> Result<(), BuildError> {
        let mut from = from.clone();
        let blob = &layer.descriptor;
        for repository in &self.repositories {
            let copied = if is_new {
                self.client
                    .copy_new_blob(&from, repository, blob, work)
                    .await
            } else {
                self.client.copy_blob(&from, repository, blob, work).await
            };
            let outcome = copied.map_err(|source| BuildError::Registry {
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use kigumi_registry::{ClientConfig, SpoolWriter};
    use kigumi_testkit::FakeRegistry;

    use super::*;

    async fn uploads(registry: &FakeRegistry, work: &std::path::Path) -> Uploads {
        Uploads::new(
            Client::start(ClientConfig::default()).await.unwrap(),
            Handle::current(),
            Events::new(|_| {}),
            work.to_owned(),
            &[registry.reference("app:1").parse().unwrap()],
            false,
        )
    }

    fn end(mut writer: SpoolWriter, blob: &[u8]) {
        let rest = usize::try_from(writer.written()).unwrap();
        writer.write_all(&blob[rest..]).unwrap();
        writer.finish(Digest::of(blob), blob.len() as u64).unwrap();
    }

    /// T-SNAP-22, T-PUSH
    #[tokio::test]
    async fn a_layer_that_the_registry_has_is_not_sent_again_however_long_it_takes_to_be_made() {
        let registry = FakeRegistry::start();
        registry.put_blob("app", b"a small layer");
        let work = tempfile::tempdir().unwrap();
        let mut uploads = uploads(&registry, work.path()).await;
        let (mut writer, spool) = Spool::create(work.path()).unwrap();
        writer.write_all(b"a small").unwrap();
        uploads.start(&spool);
        // An hour on a machine that has other things to do.
        tokio::time::pause();
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_hours(1)).await;
        tokio::time::resume();
        // Whoever waited for the time alone goes on now.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        end(writer, b"a small layer");
        uploads.finish().await.unwrap();
        let log = registry.log();
        let sent = log.iter().filter(|request| request.method != "HEAD");
        let sent: Vec<_> = sent.filter(|request| request.method != "GET").collect();
        assert!(sent.is_empty(), "{sent:?}");
    }

    #[tokio::test]
    async fn a_large_layer_is_on_its_way_before_it_is_done() {
        let registry = FakeRegistry::start();
        let work = tempfile::tempdir().unwrap();
        let mut uploads = uploads(&registry, work.path()).await;
        let (mut writer, spool) = Spool::create(work.path()).unwrap();
        let blob = vec![7; usize::try_from(HEAD_START).unwrap() + 2];
        let (_, start) = blob.split_last().unwrap();
        writer.write_all(start).unwrap();
        uploads.start(&spool);
        while registry.begun("PATCH") == 0 {
            tokio::task::yield_now().await;
        }
        end(writer, &blob);
        uploads.finish().await.unwrap();
        assert!(registry.has_blob("app", Digest::of(&blob)));
    }
}
