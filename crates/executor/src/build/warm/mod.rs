//! `warmer`: base images on their way into a directory, where builds find them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_context::DockerfilePlace;
use kigumi_oci::{Descriptor, DiffId, MediaType, Platform, parse_reference};
use kigumi_plan::Planner;
use kigumi_registry::{Client, OciLayout, Repository, ResolvedImage, Spool, SpoolWriter};
use kigumi_run::Cancel;
use tokio::task::{JoinSet, spawn_blocking};

use super::base_cache::{self, BaseCache, Entry};
use super::{outlines, rounds, runtime, setup, start, workshop};
use crate::cache::{BESIDE, LayerName, NewOutline, OutlineShelf};
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
    let shelf = OutlineShelf::open(&settings.outlines, events.clone(), super::now().seconds)?;
    let warming = async {
        let warmer = Warmer {
            client: start(client_config).await?,
            cache,
            force: settings.force,
            shelf,
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
    shelf: OutlineShelf,
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
            self.add_outlines(&image).await;
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
        let mut outlines = Vec::new();
        for (blob, diff_id) in layers(image) {
            if !seen.insert(blob.digest) {
                continue;
            }
            let (writer, spool) =
                Spool::create(draft.path()).map_err(registry("make a file for a layer"))?;
            if transfers.len() >= FETCHES {
                outlines.extend(self.one(&mut transfers).await?);
            }
            let transfer = Transfer {
                client: self.client.clone(),
                repository: image.repository.clone(),
                layout: layout.clone(),
                work: self.cache.directory().to_owned(),
                blob: blob.clone(),
                diff_id,
            };
            transfers.spawn(transfer.run(writer, spool));
        }
        while !transfers.is_empty() {
            outlines.extend(self.one(&mut transfers).await?);
        }
        for outline in outlines {
            self.keep(&draft.path().join(BESIDE), outline).await;
        }
        let finished = layout.finish(image.descriptor.clone());
        finished.map_err(registry("finish an OCI layout"))?;
        let published = self.cache.publish(draft, image.descriptor.digest);
        published.map_err(|source| self.failed(source))
    }

    /// Makes the outlines that an entry does not have: it is older than they, or other keys are used now.
    async fn add_outlines(&self, image: &ResolvedImage) {
        let digest = image.descriptor.digest;
        let place = self.cache.outlines(digest);
        for (blob, diff_id) in layers(image) {
            let name = name(blob, diff_id);
            let Entry::Layout(layout) = self.cache.entry(digest) else {
                return;
            };
            if self.shelf.has(&place, &name).await {
                continue;
            }
            let (blob, work) = (blob.clone(), self.cache.directory().to_owned());
            let made = spawn_blocking(move || {
                let bytes = layout.open_blob(&blob);
                let bytes = bytes.map_err(registry("read a layer"))?;
                outlines::outline_of(bytes, name, &work)
            });
            let made = made.await.unwrap_or_else(|error| {
                Err(BuildError::Machine {
                    operation: "read a layer",
                    source: io::Error::other(error),
                })
            });
            self.keep(&place, made).await;
        }
    }

    /// An image without them serves as well.
    async fn keep(&self, place: &Path, outline: Result<NewOutline>) {
        match outline {
            Ok(outline) => self.shelf.put(place, outline).await,
            Err(error) => self
                .events
                .warn(format!("what is in a layer is not kept: {}", chain(&error))),
        }
    }

    /// Waits for one of the transfers.
    async fn one(
        &self,
        transfers: &mut JoinSet<Transferred>,
    ) -> Result<Option<Result<NewOutline>>> {
        match transfers.join_next().await {
            None => Ok(None),
            Some(Ok(Ok(outline))) => Ok(Some(outline)),
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

type Transferred = std::result::Result<Result<NewOutline>, Arc<kigumi_registry::Error>>;

/// A layer on its way into a layout.
struct Transfer {
    client: Client,
    repository: Repository,
    layout: OciLayout,
    work: PathBuf,
    blob: Descriptor,
    diff_id: DiffId,
}

impl Transfer {
    /// Fetches it; its bytes are written and looked into while they arrive.
    async fn run(self, writer: SpoolWriter, spool: Spool) -> Transferred {
        let name = name(&self.blob, self.diff_id);
        let (layout, blob, bytes) = (self.layout, self.blob.clone(), spool.reader());
        let putting = spawn_blocking(move || put(&layout, &blob, &spool));
        let work = self.work;
        let outlining = spawn_blocking(move || outlines::outline_of(bytes, name, &work));
        let fetching = self.client.fetch_blob(&self.repository, &self.blob, writer);
        let fetched = fetching.await;
        let put = putting.await;
        let outline = outlining.await;
        // The reader's error is about the writer's.
        fetched?;
        put.unwrap_or_else(|error| Err(panicked(&self.blob, error)))
            .map_err(Arc::new)?;
        Ok(outline.unwrap_or_else(|error| {
            Err(BuildError::Machine {
                operation: "read a layer",
                source: io::Error::other(error),
            })
        }))
    }
}

/// The layers of an image with the content that its config promises; the client has checked that there are as many of both.
fn layers(image: &ResolvedImage) -> impl Iterator<Item = (&Descriptor, DiffId)> {
    let layers = image.manifest.value().layers.iter();
    layers.zip(image.config.value().rootfs.diff_ids.iter().copied())
}

fn name(blob: &Descriptor, diff_id: DiffId) -> LayerName {
    LayerName {
        digest: blob.digest,
        diff_id,
    }
}

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
