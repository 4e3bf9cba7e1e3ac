//! A build from the plan to the pushed image.

mod ahead;
mod archives;
mod base_cache;
mod caching;
mod confinement;
mod contents;
mod contexts;
mod copying;
mod devices;
mod downloads;
mod export;
mod former;
mod found;
mod git;
mod ground;
mod headers;
mod image;
mod images;
mod layers;
mod main_context;
mod mounts;
mod needs;
mod off_disk;
mod outlines;
mod outputs;
mod permission;
mod pod_files;
mod product;
mod push;
mod read_ahead;
mod rollback;
mod rounds;
mod running;
mod setup;
mod shebang;
mod sources;
mod squash;
mod stage;
mod standing;
mod stored;
mod tags;
mod unpacking;
mod warm;
mod workshop;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kigumi_layer::{CompressionSettings, Timestamp};
use kigumi_oci::{Compression, Digest, ImageFormat, Platform, Reference};
use kigumi_plan::cache_key::Surroundings;
use kigumi_plan::{Base, BuildPlan, ImageId, Op, Source, rfc3339};
use kigumi_registry::{Client, ClientConfig, Repository};
use kigumi_rootfs::{DisposableRoot, Protection};
use kigumi_run::{Cancel, InPlace};
use tokio::runtime::Runtime;

pub use former::repair;
pub(crate) use found::find as find_image;
pub(crate) use rounds::{find_dockerfile, inputs as planner_inputs};
pub(crate) use setup::{client_config, proxies};
pub(crate) use stored::push as push_stored;
pub(crate) use warm::warm;

use crate::cache::{Cache, MountCache};
use crate::cli::{CacheSettings, Config, ContextFlag, Environment, LintMode};
use crate::credentials::{Shield, credential_files, exposed};
use crate::error::{BuildError, chain};
use crate::lint;
use crate::report::{self, BuildEvent, Events};
use crate::secrets::{Secrets, passwords};
use crate::ssh::Agents;
use base_cache::BaseCache;
use caching::{Caching, Hashed, Struck};
use confinement::Grants;
use contents::Contents;
use contexts::NamedContexts;
use downloads::Downloads;
use found::FoundImage;
use git::GitTrees;
use ground::Ground;
use image::Image;
use images::Images;
use layers::{LayerFactory, Recipe, Sending};
use main_context::{MainContext, Means};
use mounts::{Backstage, CacheStore, Keeper};
use needs::{ImageUse, Needs};
use outlines::Outlines;
use product::Product;
use push::Uploads;
use rollback::Past;
use rounds::{Planned, World};
use stage::Stages;
use workshop::Workshop;

/// What only the steps may have that ask for it.
#[derive(Debug, Default)]
pub struct Entrusted {
    /// `--secret`.
    pub secrets: Secrets,
    /// `--ssh`.
    pub agents: Agents,
}

/// Builds what the flags ask for and gives the digest of the image; none if only the plan was asked for, which goes to `print` before
/// anything is done.
///
/// # Errors
/// [`BuildError`]; nothing of the machine has changed unless the interlock released its root.
pub fn run(
    config: &Config,
    environment: &Environment,
    entrusted: &Entrusted,
    events: &Events,
    cancel: &Cancel,
    print: impl FnOnce(&str),
) -> Result<Option<Digest>, BuildError> {
    let started = Instant::now();
    let runtime = runtime()?;
    let secrets = &entrusted.secrets;
    let result =
        Build::prepare(config, environment, secrets, events, cancel, &runtime).and_then(|build| {
            if config.shape.prints_plan {
                print(&build.plans());
            }
            if config.shape.dryrun {
                return Ok(None);
            }
            build.run(entrusted).map(Some)
        });
    // Transfers that nobody waits for any more must not hold the end up.
    runtime.shutdown_background();
    let Some(digest) = result? else {
        return Ok(None);
    };
    events.emit(BuildEvent::Finished {
        digest,
        took: started.elapsed(),
    });
    Ok(Some(digest))
}

/// What a build would do, as text.
///
/// # Errors
/// As [`run`], as far as planning goes.
pub fn plan(
    config: &Config,
    environment: &Environment,
    events: &Events,
    cancel: &Cancel,
) -> Result<String, BuildError> {
    let runtime = runtime()?;
    let secrets = Secrets::default();
    let result = Build::prepare(config, environment, &secrets, events, cancel, &runtime)
        .map(|build| build.plans());
    runtime.shutdown_background();
    result
}

async fn start(config: ClientConfig) -> Result<Client, BuildError> {
    let started = Client::start(config).await;
    started.map_err(|source| BuildError::Registry {
        operation: "prepare to speak to registries".to_owned(),
        source: Arc::new(source),
    })
}

pub(crate) fn runtime() -> Result<Runtime, BuildError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("transfer")
        .enable_all()
        .build()
        .map_err(|source| BuildError::Machine {
            operation: "start the threads for transfers",
            source,
        })
}

/// Everything that is known before the first write.
struct Build<'a> {
    config: &'a Config,
    environment: &'a Environment,
    events: &'a Events,
    cancel: &'a Cancel,
    stopped: tokio::sync::watch::Receiver<bool>,
    runtime: &'a Runtime,
    client: Client,
    /// One for each platform, in the order asked.
    planned: Vec<Planned>,
    context: Arc<MainContext>,
    now: Timestamp,
    /// Dropped last, when the work files are gone.
    doorstep: Option<former::Doorstep>,
}

impl<'a> Build<'a> {
    fn prepare(
        config: &'a Config,
        environment: &'a Environment,
        secrets: &Secrets,
        events: &'a Events,
        cancel: &'a Cancel,
        runtime: &'a Runtime,
    ) -> Result<Self, BuildError> {
        let gives_back = config.cleanup.gives_back;
        let doorstep = gives_back.then(|| former::Doorstep::new(&config.kaniko_dir));
        let stopped = workshop::watch_cancel(cancel)?;
        let now = now();
        let client_config = setup::client_config(config, environment, events.redactor())?;
        let starting = start(client_config.clone());
        let client = workshop::wait(runtime.handle(), cancel, &stopped, starting)?;
        let stop = (cancel.clone(), stopped.clone());
        let means = Means {
            client: &client,
            client_config: &client_config,
            environment,
            secrets,
            events,
            handle: runtime.handle(),
            stop: &stop,
            work: &config.kaniko_dir,
            now,
        };
        let (context, bytes) = MainContext::open(&config.context, &config.dockerfile, &means)?;
        let dockerfile = rounds::parse_dockerfile(context.dockerfile(), &bytes)?;
        hide_passwords(dockerfile.source.text(), events);
        for url in config.outputs.urls() {
            hide_passwords(url, events);
        }
        let created = config.times.without_epoch().unwrap_or(now);
        let platforms: Vec<String> = config.platforms.iter().map(Platform::to_string).collect();
        events.emit(BuildEvent::Started {
            dockerfile: PathBuf::from(context.dockerfile().to_string()),
            platform: platforms.join(", "),
        });
        for remark in &config.remarks {
            events.remark(remark);
        }
        let world = World {
            client: &client,
            contexts: &config.contexts,
            secrets,
            events,
            stop: &stop,
            work: &config.kaniko_dir,
        };
        let planning = async {
            let mut planned = Vec::new();
            for platform in &config.platforms {
                let created = rfc3339(created.seconds);
                let proxies = setup::proxies(environment);
                let inputs = rounds::inputs(config, platform.clone(), created, proxies);
                planned.push(rounds::plan(dockerfile.clone(), inputs, &world).await?);
            }
            Ok(planned)
        };
        let planned = workshop::wait(runtime.handle(), cancel, &stopped, planning)?;
        let named = config.contexts.iter().filter_map(ContextFlag::url);
        let sources = planned.iter().flat_map(|one| remote_sources(&one.plan));
        for url in sources.chain(named) {
            hide_passwords(url, events);
        }
        tell_warnings(&planned, config.lint.mode, events);
        let files = planned.iter().map(|one| (&one.dockerfile, &one.lint));
        // What is wrong with the ignore file is told when the context is read, if it is.
        lint::before_build(files, context.ignored().ok().as_ref(), config, events)?;
        Ok(Self {
            config,
            environment,
            events,
            cancel,
            stopped,
            runtime,
            client,
            planned,
            context: Arc::new(context),
            now,
            doorstep,
        })
    }

    /// What it would do, as text.
    fn plans(&self) -> String {
        let plans = self.planned.iter();
        let plans: Vec<String> = plans.map(|planned| planned.plan.to_string()).collect();
        plans.join("\n")
    }

    fn run(self, entrusted: &Entrusted) -> Result<Digest, BuildError> {
        if self.config.credentials.consume {
            Shield::consume(self.environment)?;
        }
        let needs: Vec<Needs> = self
            .planned
            .iter()
            .map(|planned| Needs::new(&planned.plan, self.image_use(planned)))
            .collect();
        let grants = Grants::gather(&self.config.run.limits);
        for planned in &self.planned {
            git::check(&planned.plan, &planned.dockerfile.source)?;
            grants.check(&planned.plan, &planned.dockerfile.source, self.events)?;
        }
        let mut premises = Premises::new(grants, self.keeper()?);
        // Before the first write, and before a byte is pulled. With a cache it may turn out that nothing has to run.
        if self.config.cache.is_none() && needs.iter().any(Needs::needs_root) {
            premises.root = Some(self.disposable_root()?);
        }
        self.check_permission()?;
        let mut cache = self.cache()?;
        let workshop = self.workshop()?;
        let built = self.build(&needs, &workshop, entrusted, (&mut premises, &mut cache));
        let finished = match &mut cache {
            Some((_, cache)) if !self.cancel.is_cancelled() => workshop.wait(async {
                cache.finish().await;
                Ok(())
            }),
            Some(_) | None => Ok(()),
        };
        let built = built.and_then(|digest| finished.map(|()| digest));
        if self.config.cleanup.abandons && !self.cancel.is_cancelled() {
            self.abandon(&mut premises);
        }
        // However it ended; and after the push, because nothing of it is needed any more then.
        match (built, premises.give_back()) {
            (Err(error), Err(also)) => {
                self.events.warn(also.render());
                Err(error)
            }
            (built, given_back) => given_back.and(built),
        }
    }

    /// However it ended: nobody will look at what is on the root filesystem now.
    fn abandon(&self, premises: &mut Premises) {
        let started = Instant::now();
        let message = match premises.ground.as_mut().map(Ground::abandon) {
            Some(Ok(bytes)) => format!(
                "{} on the root filesystem, which ends with this container, need not be written to the disk any more: {}",
                report::bytes(bytes),
                report::duration(started.elapsed())
            ),
            // It costs the node a little time, and nobody anything else.
            Some(Err(error)) => error.render(),
            None => return,
        };
        self.events.emit(BuildEvent::Detail { message });
    }

    /// Builds all images and brings them to where they go.
    fn build(
        &self,
        needs: &[Needs],
        workshop: &Workshop,
        entrusted: &Entrusted,
        (premises, cache): (&mut Premises, &mut Option<(&CacheSettings, Cache)>),
    ) -> Result<Digest, BuildError> {
        // Entries whose layers could not be had.
        let mut struck = Struck::default();
        loop {
            let (mut images, mut uploads) = (Vec::new(), Vec::new());
            let built = self.attempt(
                (needs, &struck),
                (workshop, entrusted),
                (&mut *premises, &mut *cache),
                (&mut images, &mut uploads),
            );
            match built {
                Err(BuildError::LostEntry { key, source }) if struck.strike(key) => {
                    let why = source.map_or_else(String::new, |why| format!(": {}", chain(&why)));
                    self.events.warn(format!(
                        "the layer of the cache entry {} cannot be had, so the build begins again without it{why}",
                        key.short()
                    ));
                    if let Some(verdict) = struck.verdict() {
                        self.events.warn(format!(
                            "so many layers of the cache cannot be had that the build takes fewer of them: {verdict}"
                        ));
                    }
                }
                other => return other,
            }
        }
    }

    /// Builds all images with the entries of the cache that were not struck.
    fn attempt(
        &self,
        (needs, struck): (&[Needs], &Struck),
        (workshop, entrusted): (&Workshop, &Entrusted),
        (premises, cache): (&mut Premises, &mut Option<(&CacheSettings, Cache)>),
        (images, uploads): (&mut Vec<Image>, &mut Vec<Uploads>),
    ) -> Result<Digest, BuildError> {
        if let Some((_, cache)) = cache {
            cache.forget_unconfirmed();
        }
        for (planned, needs) in self.planned.iter().zip(needs) {
            let cache = cache.as_mut().map(|(settings, cache)| (*settings, cache));
            let (image, sent) = self.image(
                (planned, needs),
                (workshop, entrusted),
                premises,
                (cache, struck),
            )?;
            images.push(image);
            uploads.extend(sent);
        }
        let product = Product::new(std::mem::take(images), self.epoch())?;
        if self.config.push {
            // An entry whose layer cannot be had shows here at the latest, before anything else sees the image.
            for (uploads, image) in uploads.iter_mut().zip(&product.images) {
                workshop.wait(uploads.finish_image(image.manifest.digest()))?;
            }
        }
        if let Some((_, cache)) = cache {
            cache.confirm();
        }
        self.export(&product)?;
        if self.config.push {
            workshop.wait(self.publish(uploads, &product))?;
        }
        let digest = product.digest();
        self.write_digests(digest)?;
        Ok(digest)
    }

    /// Takes credentials out of the reach of RUN as far as this pod allows, and tells of those it cannot.
    fn shield(&self) -> Result<Shield, BuildError> {
        // It was read when the cache was opened, that of layers or that of mounts.
        let mut caches = self.config.cache.iter().chain(&self.config.mount_cache);
        let key = caches.find_map(|settings| settings.sign_key.as_deref());
        let shield = Shield::raise(self.environment, key, self.events)?;
        let exposed = exposed(self.environment, key);
        if !exposed.is_empty() {
            let files: Vec<String> = exposed
                .iter()
                .map(|path| format!("`{}`", path.display()))
                .collect();
            self.events.warn(format!(
                "KX-CRED-001: RUN steps can read the credentials in {}, which the pod mounts; docs/credential-shield.md says how to keep them out of reach",
                files.join(", ")
            ));
        }
        Ok(shield)
    }

    fn cache(&self) -> Result<Option<(&'a CacheSettings, Cache)>, BuildError> {
        let Some(settings) = &self.config.cache else {
            return Ok(None);
        };
        let cache = Cache::open(
            settings,
            &self.client,
            self.runtime.handle().clone(),
            self.events,
            self.now.seconds,
        )?;
        Ok(Some((settings, cache)))
    }

    /// Takes into possession what stages with a RUN stand on, once.
    fn furnish(&self, premises: &mut Premises, workshop: &Workshop) -> Result<(), BuildError> {
        if premises.ground.is_some() {
            return Ok(());
        }
        let root = match premises.root.take() {
            Some(root) => root,
            None => self.disposable_root()?,
        };
        if self.planned.iter().any(|planned| has_mounts(&planned.plan)) {
            premises.backstage = Some(Backstage::new(workshop.work(), root.path())?);
        }
        let former = if self.config.cleanup.gives_back {
            let kaniko_dir = &self.config.kaniko_dir;
            let doorstep = self.doorstep.as_ref();
            Some(former::begin(&root, kaniko_dir, workshop.work(), doorstep)?)
        } else {
            None
        };
        let protection = self.protection(workshop, premises.backstage.as_ref());
        premises.ground = Some(Ground::new(&root, &protection, former)?);
        // What is away must have been seen by the protection before.
        premises.shield = Some(self.shield()?);
        Ok(())
    }

    /// Who keeps the caches of RUNs beyond the pod. Reads the keys, while they are still there.
    fn keeper(&self) -> Result<Option<Keeper>, BuildError> {
        let settings = self.config.mount_cache.as_ref();
        let keeper = settings.map(|settings| {
            let cache = MountCache::open(settings, &self.client, self.events, self.now.seconds);
            cache.map(Keeper::new)
        });
        keeper.transpose()
    }

    /// Builds the image of one platform. The root filesystem is left for the next.
    fn image(
        &self,
        (planned, needs): (&Planned, &Needs),
        (workshop, entrusted): (&Workshop, &Entrusted),
        premises: &mut Premises,
        (cache, struck): (Option<(&CacheSettings, &mut Cache)>, &Struck),
    ) -> Result<(Image, Option<Uploads>), BuildError> {
        let plan = &planned.plan;
        let target = plan.stage(plan.target);
        if let (2.., Some(target)) = (self.planned.len(), target) {
            self.events.emit(BuildEvent::PlatformStarted {
                platform: target.platform.to_string(),
            });
        }
        let base = base(planned).map(|image| &image.manifest);
        let format = image::format(self.config.image_format, base);
        let mut contents = Contents::new(workshop.work())?;
        self.context.lend(&mut contents)?;
        let factory = self.layer_factory(planned, workshop, format)?;
        let surroundings = self.surroundings(&factory.recipe)?;
        let caching =
            cache.map(|(settings, cache)| Caching::new(settings, cache, surroundings, struck));
        let mut stages = Stages {
            plan,
            needs,
            file: &planned.dockerfile.source,
            images: self.images(planned, workshop, needs),
            contents,
            downloads: Downloads::new(self.client.clone()),
            git: GitTrees::new(self.client.clone()),
            workshop,
            entrusted,
            caches: CacheStore::new(self.config.cache_mounts(), premises.keeper.clone()),
            premises,
            cache_namespace: self.cache_namespace(),
            runner: Box::new(InPlace),
            hosts: &self.config.run.hosts,
            factory,
            now: self.now,
            finished: BTreeMap::new(),
            context: None,
            walk: None,
            contexts: NamedContexts::new(&self.config.contexts),
            standing: None,
            past: Past::default(),
            caching,
            outlines: Outlines::default(),
            hashed: Hashed::default(),
        };
        if stages.look_ahead()? {
            self.furnish(stages.premises, workshop)?;
            stages.tell_order();
        }
        let layers = stages.build();
        // Also what a step wrote that failed: the next build goes on from there.
        stages.caches.save(workshop);
        let mut layers = layers?;
        let mut config = target.map(|stage| stage.config.clone()).unwrap_or_default();
        if self.config.shape.single_snapshot {
            let below = base.map_or(0, |base| base.value().layers.len());
            layers = stages.squash(layers, below)?;
            squash::rewrite_history(&mut config.history, below, layers.len() > below);
        }
        let uploads = stages.factory.uploads.take();
        let annotations = self.config.shape.annotations.iter().cloned().collect();
        let image = image::assemble(config, layers, format, annotations)?;
        Ok((image, uploads))
    }

    /// The time that the image says it is of, unless that is when it was built. The same for all platforms.
    fn epoch(&self) -> Option<i64> {
        let mut epochs = self.planned.iter();
        let epoch = epochs.find_map(|planned| planned.plan.source_date_epoch);
        let otherwise = || self.config.times.without_epoch();
        epoch.or_else(|| otherwise().map(|time| time.seconds))
    }

    fn image_use(&self, planned: &Planned) -> ImageUse {
        let foreign_base = base(planned).is_some_and(|base| {
            let home = base.repository().map(Repository::registry);
            self.config
                .destinations
                .iter()
                .any(|to| Some(Repository::of(to).registry()) != home)
        });
        ImageUse {
            push: self.config.push,
            // To make one layer of several, all below them has to be looked at.
            export: self.exports() || self.config.shape.single_snapshot,
            foreign_base,
            materialize: self.config.shape.materialize,
        }
    }

    fn exports(&self) -> bool {
        let outputs = &self.config.outputs;
        outputs.tar.is_some() || outputs.oci_layout.is_some()
    }

    fn disposable_root(&self) -> Result<DisposableRoot, BuildError> {
        former::disposable_root(self.config, &self.own_paths(), self.events)
    }

    fn check_permission(&self) -> Result<(), BuildError> {
        let wanted = permission::wanted(self.config);
        if wanted.is_empty() {
            return Ok(());
        }
        let handle = self.runtime.handle();
        let check = permission::check(&self.client, handle, wanted, self.environment, self.events);
        workshop::wait(handle, self.cancel, &self.stopped, check)
    }

    fn workshop(&self) -> Result<Workshop, BuildError> {
        Workshop::new(
            self.events.clone(),
            (self.cancel.clone(), self.stopped.clone()),
            self.runtime.handle().clone(),
            &self.config.kaniko_dir,
            Arc::clone(&self.context),
        )
    }

    fn layer_factory(
        &self,
        planned: &Planned,
        workshop: &Workshop,
        format: ImageFormat,
    ) -> Result<LayerFactory, BuildError> {
        let compression = match (self.config.compression, format) {
            (Compression::Zstd, ImageFormat::Docker) => {
                self.events.warn("--compression=zstd is ignored: the base is a Docker image, which cannot hold zstd layers");
                Compression::Gzip
            }
            (compression, _) => compression,
        };
        let level = self
            .config
            .compression_level
            .and_then(|level| u32::try_from(level).ok());
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let compression = CompressionSettings::new(compression)
            .level(level)
            .threads(threads);
        compression
            .effective_level()
            .map_err(|source| BuildError::Layer {
                operation: "--compression-level".to_owned(),
                source,
            })?;
        let uploads = self.config.push.then(|| {
            Uploads::new(
                self.client.clone(),
                self.runtime.handle().clone(),
                self.events.clone(),
                workshop.work().to_owned(),
                &self.config.destinations,
                self.config.mirrors.ignore_immutable_tags,
            )
        });
        Ok(LayerFactory {
            recipe: Recipe {
                compression,
                latest: self.config.times.latest(planned.plan.source_date_epoch),
            },
            work: workshop.work().to_owned(),
            uploads,
            keep: self.exports() || self.config.shape.single_snapshot,
            sending: if self.config.shape.single_snapshot {
                Sending::Later
            } else {
                Sending::AtOnce
            },
            events: self.events.clone(),
            cancel: self.cancel.clone(),
        })
    }

    /// What of the build a step sees besides its own words.
    fn surroundings(&self, recipe: &Recipe) -> Result<Surroundings, BuildError> {
        let compression = &recipe.compression;
        let level = compression.effective_level();
        let level = level.map_err(|source| BuildError::Layer {
            operation: "--compression-level".to_owned(),
            source,
        })?;
        let hosts = self.config.run.hosts.iter();
        Ok(Surroundings {
            compression: match compression.compression {
                Compression::None => "none",
                Compression::Gzip => "gzip",
                Compression::Zstd => "zstd",
            }
            .to_owned(),
            level,
            latest: recipe.latest.map(|latest| latest.seconds),
            hosts: hosts
                .map(|host| (host.name.clone(), host.address.to_string()))
                .collect(),
        })
    }

    fn images(&self, planned: &Planned, workshop: &Workshop, needs: &Needs) -> Images {
        let images = planned.images.iter().enumerate();
        let images = images.map(|(index, image)| (image.clone(), needs.lasting(ImageId(index))));
        Images::new(
            self.client.clone(),
            self.runtime.handle().clone(),
            self.stopped.clone(),
            workshop.work().to_owned(),
            self.config.base_cache.as_ref().map(BaseCache::new),
            images,
        )
    }

    /// What of the root is ours although it is not mounted.
    fn protection(&self, workshop: &Workshop, backstage: Option<&Backstage>) -> Protection {
        let mut ours = self.own_paths();
        ours.push(workshop.work().to_owned());
        ours.extend(backstage.map(|backstage| backstage.path().to_owned()));
        former::protection(ours, self.config, self.environment)
    }

    fn own_paths(&self) -> Vec<PathBuf> {
        let mut ours = own_paths(self.config, self.environment);
        ours.extend(self.context.dockerfile().disk().map(PathBuf::from));
        ours
    }

    /// What keeps the caches of one project apart from those of another, as with BuildKit.
    fn cache_namespace(&self) -> String {
        let arguments = self.config.build_args.iter();
        let given = arguments
            .rev()
            .find(|(name, _)| name == "BUILDKIT_CACHE_MOUNT_NS");
        given.map_or_else(String::new, |(_, value)| value.clone())
    }

    fn export(&self, product: &Product) -> Result<(), BuildError> {
        let told = |what, path: &PathBuf| {
            self.events.emit(BuildEvent::Written {
                what,
                path: path.clone(),
            });
        };
        if let Some(path) = &self.config.outputs.oci_layout {
            export::layout(product, path)?;
            told("OCI layout", path);
        }
        // The flags have made sure that there is one image.
        if let (Some(path), [image]) = (&self.config.outputs.tar, product.images.as_slice()) {
            export::archive(image, path, &self.config.destinations)?;
            told("archive", path);
        }
        Ok(())
    }

    /// Blobs, then the config, then the manifests: a tag is old or new, never dangling (I6).
    async fn publish(&self, uploads: &mut [Uploads], product: &Product) -> Result<(), BuildError> {
        for (uploads, image) in uploads.iter_mut().zip(&product.images) {
            uploads.finish().await?;
            uploads.push_config(image.config.bytes()).await?;
            if product.index.is_some() {
                let references = self.unnamed(image.manifest.digest());
                uploads
                    .push_manifests(&references, &image.media_type, image.manifest.bytes())
                    .await?;
            }
        }
        let Some(uploads) = uploads.first() else {
            return Ok(());
        };
        let media_type = &product.descriptor.media_type;
        let destinations = &self.config.destinations;
        uploads
            .push_manifests(destinations, media_type, product.bytes())
            .await
    }

    /// A manifest that an index will name, in every repository that gets the index.
    fn unnamed(&self, digest: Digest) -> Vec<Reference> {
        let mut references: Vec<Reference> = Vec::new();
        for destination in &self.config.destinations {
            let (registry, repository) = (destination.registry(), destination.repository());
            let reference = Reference::with_digest(
                registry.to_owned(),
                repository.to_owned(),
                digest.to_string(),
            );
            if !references.contains(&reference) {
                references.push(reference);
            }
        }
        references
    }
}

/// What of the root is ours although it is not mounted, but for the Dockerfile.
fn own_paths(config: &Config, environment: &Environment) -> Vec<PathBuf> {
    let mut ours = vec![
        config.kaniko_dir.clone(),
        PathBuf::from("/kaniko"),
        PathBuf::from("/kigumi"),
        PathBuf::from(kigumi_rootfs::PER_BOOT_MARKER),
        PathBuf::from(former::AT_THE_TOP),
        config.cache_mounts(),
    ];
    ours.extend(config.context.path());
    ours.extend(environment.executable.parent().map(PathBuf::from));
    ours.extend(
        credential_files(environment)
            .into_iter()
            .filter(|file| file.exists()),
    );
    ours.extend(config.mirrors.files().map(PathBuf::from));
    ours.extend(config.outputs.paths().map(PathBuf::from));
    ours.extend(config.context_paths().map(PathBuf::from));
    // Another build in the same container wants them again, and no image has them.
    ours.extend(config.secret_files().map(PathBuf::from));
    let caches = config.cache.iter().chain(&config.mount_cache);
    ours.extend(caches.flat_map(|cache| cache.directories().map(PathBuf::from)));
    // The usual place is a volume, or may be a directory of the image.
    ours.extend(
        config
            .base_cache
            .iter()
            .filter_map(|cache| cache.named().map(PathBuf::from)),
    );
    // A path that is the root itself would protect everything.
    ours.retain(|path| path.parent().is_some());
    ours
}

/// The image that the target rests on.
fn base(planned: &Planned) -> Option<&FoundImage> {
    planned.images.get(base_image(&planned.plan)?.0)
}

fn base_image(plan: &BuildPlan) -> Option<ImageId> {
    let mut stage = plan.stage(plan.target)?;
    // As many steps as there are stages: the planner refuses circles, and this does not trust it.
    for _ in &plan.stages {
        match stage.base {
            Base::Image(id) => return Some(id),
            Base::Scratch | Base::Context(_) => return None,
            Base::Stage(id) => stage = plan.stage(id)?,
        }
    }
    None
}

/// Whoever writes a password into a URL does not want to read it in the log.
fn hide_passwords(text: &str, events: &Events) {
    for password in passwords(text) {
        events.redactor().hide(password.as_bytes());
    }
}

/// The URLs of all ADDs, expanded.
fn remote_sources(plan: &BuildPlan) -> impl Iterator<Item = &str> {
    let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    let sources = steps.flat_map(|step| match &step.op {
        Op::Copy(copy) => copy.sources.as_slice(),
        Op::Run(_) | Op::MakeDir(_) | Op::Config => &[],
    });
    sources.filter_map(|source| match source {
        Source::Url(url) | Source::Git(url) => Some(url.as_str()),
        Source::Path(_) | Source::Inline { .. } => None,
    })
}

/// The plan's warnings include the parser's; what is wrong on every platform is said once.
fn tell_warnings(planned: &[Planned], lint: LintMode, events: &Events) {
    let mut told = Vec::new();
    for planned in planned {
        let file = &planned.dockerfile.source;
        let all = planned.plan.warnings.iter();
        for warning in all.filter(|warning| !lint::tells(warning.name, lint)) {
            let text = report::one_line(warning);
            let text = format!("{}:{}: {text}", file.name(), warning.span.line);
            if !told.contains(&text) {
                events.warn(text.clone());
                told.push(text);
            }
        }
    }
}

/// What stages with a RUN work on and with, one platform after the other.
struct Premises {
    /// Released by the interlock, and not yet in our possession.
    root: Option<DisposableRoot>,
    /// None as long as nothing has to run.
    ground: Option<Ground>,
    /// Where things wait that a mount of a RUN hides; none if no RUN has a mount.
    backstage: Option<Backstage>,
    /// Keeps credentials away from RUN; none as long as nothing has to run.
    shield: Option<Shield>,
    grants: Grants,
    /// Who keeps the caches of RUNs beyond the pod.
    keeper: Option<Arc<Keeper>>,
}

impl Premises {
    fn new(grants: Grants, keeper: Option<Keeper>) -> Self {
        Self {
            root: None,
            ground: None,
            backstage: None,
            shield: None,
            grants,
            keeper: keeper.map(Arc::new),
        }
    }

    fn give_back(&mut self) -> Result<(), BuildError> {
        self.ground.as_mut().map_or(Ok(()), Ground::give_back)
    }
}

fn has_mounts(plan: &BuildPlan) -> bool {
    let mut steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    steps.any(|step| matches!(&step.op, Op::Run(run) if !run.mounts.is_empty()))
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or_default(),
        nanoseconds: since.subsec_nanos(),
    }
}
