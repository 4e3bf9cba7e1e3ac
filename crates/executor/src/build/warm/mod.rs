//! `warmer`: base images on their way into a directory, where builds find them.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use kigumi_context::DockerfilePlace;
use kigumi_oci::{Descriptor, MediaType, Platform, parse_reference};
use kigumi_plan::Planner;
use kigumi_registry::{Client, OciLayout, ResolvedImage, Spool};
use kigumi_run::Cancel;
use tokio::task::{JoinSet, spawn_blocking};

use super::base_cache::{self, BaseCache, Entry};
use super::{rounds, runtime, setup, start, workshop};
use crate::cli::{Environment, WarmSettings};
use crate::error::{BuildError, chain};
use crate::report::{BuildEvent, Events};

type Result<T> = std::result::Result<T, BuildError>;

/// An image to put into the cache, or why a FROM line names none.
type Wanted = std::result::Result<(String, Platform), String>;

/// Puts images into the cache and gives the exit code: 1 if there were some and none could be had (K-WARM-02, K-EXIT-04).
///
/// # Errors
/// What concerns all images: the Dockerfile, the certificates, being told to end.
pub(crate) fn warm(
    settings: &WarmSettings,
    environment: &Environment,
    events: &Events,
    cancel: &Cancel,
) -> Result<u8> {
    let runtime = runtime()?;
    let stopped = workshop::watch_cancel(cancel)?;
    let wanted = wanted(settings, environment)?;
    let client_config = setup::client_config(&settings.config, environment, events.redactor())?;
    let cache = BaseCache::at(settings.directory.clone(), settings.ttl);
    let warming = async {
        let warmer = Warmer {
            client: start(client_config).await?,
            cache,
            force: settings.force,
            events: events.clone(),
        };
        let mut warm = 0;
        for image in &wanted {
            warm += usize::from(warmer.tried(image).await);
        }
        Ok(warm)
    };
    let result = workshop::wait(runtime.handle(), cancel, &stopped, warming);
    runtime.shutdown_background();
    let warm = result?;
    Ok(u8::from(warm == 0 && !wanted.is_empty()))
}

/// The images that flags and FROM lines name, each once.
fn wanted(settings: &WarmSettings, environment: &Environment) -> Result<Vec<Wanted>> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for platform in &settings.config.platforms {
        let named = settings.images.iter();
        wanted.extend(named.map(|image| Ok((image.clone(), platform.clone()))));
        wanted.extend(bases(settings, platform, environment)?);
    }
    let mut unique = Vec::new();
    for image in wanted {
        if !unique.contains(&image) {
            unique.push(image);
        }
    }
    Ok(unique)
}

/// What the stages of the Dockerfile stand on, needed by the last one or not.
fn bases(
    settings: &WarmSettings,
    platform: &Platform,
    environment: &Environment,
) -> Result<Vec<Wanted>> {
    let Some(path) = &settings.dockerfile else {
        return Ok(Vec::new());
    };
    let place = DockerfilePlace::Disk(path.clone());
    let (place, bytes) = rounds::find_dockerfile(&[place], &|_| Ok(None))?;
    let dockerfile = rounds::parse_dockerfile(&place, &bytes)?;
    let (created, proxies) = (String::new(), setup::proxies(environment));
    let inputs = rounds::inputs(&settings.config, platform.clone(), created, proxies);
    let planner = Planner::new(&dockerfile, inputs)
        .map_err(|found| BuildError::Dockerfile(Box::new(found)))?;
    let images = planner.stage_images().into_iter().flatten();
    let images = images.map(|(query, _)| Ok((query.reference, query.platform)));
    let wrong = planner.stage_errors().into_iter();
    let wrong = wrong.map(|error| Err(format!("{}: {}", path.display(), error.message)));
    Ok(images.chain(wrong).collect())
}

struct Warmer {
    client: Client,
    cache: BaseCache,
    force: bool,
    events: Events,
}

impl Warmer {
    /// Whether the image is in the cache now; if not, it was told why.
    async fn tried(&self, wanted: &Wanted) -> bool {
        let tried = match wanted {
            Err(why) => Err(why.clone()),
            Ok((image, platform)) => self
                .warm(image, platform)
                .await
                .map_err(|error| format!("`{image}` for {platform}: {}", chain(&error))),
        };
        match tried {
            Ok(()) => true,
            Err(why) => {
                self.events
                    .warn(format!("an image is not put into the cache: {why}"));
                false
            }
        }
    }

    async fn warm(&self, text: &str, platform: &Platform) -> Result<()> {
        let reference = parse_reference(text).map_err(|error| BuildError::UnusableImage {
            reference: text.to_owned(),
            reason: error.to_string(),
        })?;
        let resolved = self.client.resolve(&reference, platform).await;
        let image = resolved.map_err(registry("find the image"))?;
        let digest = image.descriptor.digest;
        let place = self.cache.place(digest);
        if !self.force && self.is_there(&image).await? {
            let path = place.display();
            let message = format!("`{text}` is in the cache already: `{path}`");
            self.events.emit(BuildEvent::Note { message });
            return Ok(());
        }
        self.store(&image).await?;
        let (path, layers) = (place.display(), image.manifest.value().layers.len());
        let message = format!("`{text}` is in the cache: `{path}`, {layers} layers");
        self.events.emit(BuildEvent::Note { message });
        Ok(())
    }

    /// Whether there is an entry that is new enough and whole.
    async fn is_there(&self, image: &ResolvedImage) -> Result<bool> {
        let digest = image.descriptor.digest;
        let layout = match self.cache.entry(digest) {
            Entry::Layout(layout) => layout,
            Entry::None | Entry::Old => return Ok(false),
            Entry::Broken(why) => return Ok(self.broken(image, &why)),
        };
        let verified = spawn_blocking(move || base_cache::verify(&layout, digest)).await;
        match verified.map_err(|error| self.failed(io::Error::other(error)))? {
            Ok(()) => Ok(true),
            Err(why) => Ok(self.broken(image, &why)),
        }
    }

    fn broken(&self, image: &ResolvedImage, why: &str) -> bool {
        let place = self.cache.place(image.descriptor.digest);
        let place = place.display();
        self.events
            .warn(format!("`{place}` is broken and made again: {why}"));
        false
    }

    /// Everything into a directory of another name, which becomes the entry when it is complete.
    async fn store(&self, image: &ResolvedImage) -> Result<()> {
        let draft = self.cache.draft().map_err(|source| self.failed(source))?;
        let layout = OciLayout::create(draft.path()).map_err(registry("make an OCI layout"))?;
        let config_type = image.manifest.value().config.media_type.clone();
        put_bytes(&layout, config_type, image.config.bytes())?;
        let manifest_type = image.descriptor.media_type.clone();
        put_bytes(&layout, manifest_type, image.manifest.bytes())?;
        let mut seen = BTreeSet::new();
        let mut transfers = JoinSet::new();
        for blob in &image.manifest.value().layers {
            if seen.insert(blob.digest) {
                let (writer, spool) =
                    Spool::create(draft.path()).map_err(registry("make a file for a layer"))?;
                let (client, repository) = (self.client.clone(), image.repository.clone());
                let (layout, blob) = (layout.clone(), blob.clone());
                if transfers.len() >= FETCHES {
                    self.one(&mut transfers).await?;
                }
                transfers.spawn(async move {
                    let wanted = blob.clone();
                    let putting = spawn_blocking(move || put(&layout, &blob, &spool));
                    let fetched = client.fetch_blob(&repository, &wanted, writer).await;
                    let put = putting.await;
                    // The reader's error is about the writer's.
                    fetched?;
                    put.unwrap_or_else(|error| Err(panicked(&wanted, error)))
                        .map_err(Arc::new)
                });
            }
        }
        while !transfers.is_empty() {
            self.one(&mut transfers).await?;
        }
        let finished = layout.finish(image.descriptor.clone());
        finished.map_err(registry("finish an OCI layout"))?;
        let published = self.cache.publish(draft, image.descriptor.digest);
        published.map_err(|source| self.failed(source))
    }

    /// Waits for one of the transfers.
    async fn one(&self, transfers: &mut JoinSet<Transferred>) -> Result<()> {
        match transfers.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(source))) => Err(BuildError::Registry {
                operation: "fetch a layer".to_owned(),
                source,
            }),
            Some(Err(error)) => Err(self.failed(io::Error::other(error))),
        }
    }

    fn failed(&self, source: io::Error) -> BuildError {
        BuildError::Work {
            operation: "write the cache of base images",
            directory: self.cache.directory().to_owned(),
            source,
        }
    }
}

/// How many layers are fetched at the same time, as in a build.
const FETCHES: usize = 4;

type Transferred = std::result::Result<(), Arc<kigumi_registry::Error>>;

fn put_bytes(layout: &OciLayout, media_type: MediaType, bytes: &[u8]) -> Result<()> {
    let put = layout.put_bytes(media_type, bytes);
    put.map(drop).map_err(registry("write an OCI layout"))
}

/// Writes a blob into a layout while it arrives.
fn put(
    layout: &OciLayout,
    blob: &Descriptor,
    spool: &Spool,
) -> std::result::Result<(), kigumi_registry::Error> {
    layout.put_blob(blob, &mut spool.reader())
}

fn panicked(blob: &Descriptor, error: tokio::task::JoinError) -> kigumi_registry::Error {
    kigumi_registry::Error::PutBlob {
        path: "the cache".into(),
        digest: blob.digest,
        source: io::Error::other(error),
    }
}

fn registry(operation: &str) -> impl FnOnce(kigumi_registry::Error) -> BuildError {
    let operation = operation.to_owned();
    move |source| BuildError::Registry {
        operation,
        source: Arc::new(source),
    }
}

#[cfg(test)]
mod tests;
