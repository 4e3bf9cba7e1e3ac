//! A build from the plan to the pushed image.

mod archives;
mod confinement;
mod contents;
mod copying;
mod devices;
mod export;
mod ground;
mod image;
mod images;
mod layers;
mod needs;
mod off_disk;
mod outputs;
mod pod_files;
mod push;
mod rounds;
mod running;
mod setup;
mod shebang;
mod stage;
mod workshop;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kigumi_layer::{CompressionSettings, ImagePath, Timestamp};
use kigumi_oci::{Compression, Digest, ImageFormat};
use kigumi_plan::{Base, BuildPlan, ImageId, rfc3339};
use kigumi_registry::{Client, Repository, ResolvedImage};
use kigumi_rootfs::{DisposableRoot, Facts, Policy, Protection, assess};
use kigumi_run::{Cancel, InPlace};
use tokio::runtime::Runtime;

pub(crate) use setup::credential_files;

use crate::cli::{BUILD_ID, Config, Environment};
use crate::error::BuildError;
use crate::report::{self, BuildEvent, Events};
use confinement::Grants;
use contents::Contents;
use ground::Ground;
use image::Image;
use images::Images;
use layers::LayerFactory;
use needs::{ImageUse, Needs};
use push::Uploads;
use rounds::Planned;
use stage::Stages;
use workshop::Workshop;

/// Builds what the flags ask for and gives the digest of the image.
///
/// # Errors
/// [`BuildError`]; nothing of the machine has changed unless the interlock released its root.
pub fn run(
    config: &Config,
    environment: &Environment,
    events: &Events,
    cancel: &Cancel,
) -> Result<Digest, BuildError> {
    let started = Instant::now();
    let runtime = runtime()?;
    let result = Build::prepare(config, environment, events, cancel, &runtime).and_then(Build::run);
    // Transfers that nobody waits for any more must not hold the end up.
    runtime.shutdown_background();
    let digest = result?;
    events.emit(BuildEvent::Finished {
        digest,
        took: started.elapsed(),
    });
    Ok(digest)
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
    let result = Build::prepare(config, environment, events, cancel, &runtime)
        .map(|build| build.planned.plan.to_string());
    runtime.shutdown_background();
    result
}

fn runtime() -> Result<Runtime, BuildError> {
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
    planned: Planned,
    dockerfile: PathBuf,
    now: Timestamp,
}

impl<'a> Build<'a> {
    fn prepare(
        config: &'a Config,
        environment: &'a Environment,
        events: &'a Events,
        cancel: &'a Cancel,
        runtime: &'a Runtime,
    ) -> Result<Self, BuildError> {
        let stopped = workshop::watch_cancel(cancel)?;
        let now = now();
        let (path, dockerfile) = rounds::read_dockerfile(&config.dockerfile)?;
        let inputs = rounds::inputs(config, rfc3339(now.seconds), setup::proxies(environment));
        events.emit(BuildEvent::Started {
            dockerfile: path.clone(),
            platform: inputs.platform.to_string(),
        });
        let client_config = setup::client_config(config, environment)?;
        let prepared = async {
            let client =
                Client::start(client_config)
                    .await
                    .map_err(|source| BuildError::Registry {
                        operation: "prepare to speak to registries".to_owned(),
                        source: Arc::new(source),
                    })?;
            let planned = rounds::plan(dockerfile, inputs, &client, events).await?;
            Ok((client, planned))
        };
        let (client, planned) = workshop::wait(runtime.handle(), cancel, &stopped, prepared)?;
        tell_warnings(&planned, events);
        Ok(Self {
            config,
            environment,
            events,
            cancel,
            stopped,
            runtime,
            client,
            planned,
            dockerfile: path,
            now,
        })
    }

    fn run(self) -> Result<Digest, BuildError> {
        let plan = &self.planned.plan;
        let needs = Needs::new(plan, self.image_use());
        let grants = Grants::gather(&self.config.run.limits);
        grants.check(plan, &self.planned.dockerfile.source, self.events)?;
        // Before the first write, and before a byte is pulled.
        let root = if needs.needs_root() {
            Some(self.disposable_root()?)
        } else {
            None
        };
        self.check_permission()?;
        let workshop = self.workshop()?;
        let base = self.base().map(|image| &image.manifest);
        let format = image::format(self.config.image_format, base);
        let factory = self.layer_factory(&workshop, format)?;
        let ground = root
            .map(|root| Ground::new(&root, &self.protection(&workshop)))
            .transpose()?;
        let mut stages = Stages {
            plan,
            needs: &needs,
            file: &self.planned.dockerfile.source,
            images: self.images(&workshop, &needs),
            contents: Contents::new(workshop.work())?,
            workshop: &workshop,
            ground,
            runner: Box::new(InPlace),
            grants,
            hosts: &self.config.run.hosts,
            factory,
            now: self.now,
            finished: BTreeMap::new(),
            context: None,
            standing: None,
        };
        let layers = stages.build()?;
        let uploads = stages.factory.uploads.take();
        let config = plan
            .stage(plan.target)
            .map(|stage| stage.config.clone())
            .unwrap_or_default();
        let image = image::assemble(config, layers, format)?;
        self.export(&image)?;
        if let Some(mut uploads) = uploads {
            workshop.wait(self.publish(&mut uploads, &image))?;
        }
        let digest = image.manifest.digest();
        outputs::write_digests(
            &self.config.outputs,
            &self.config.destinations,
            digest,
            self.events,
        )?;
        Ok(digest)
    }

    /// The image that the target rests on.
    fn base(&self) -> Option<&ResolvedImage> {
        self.planned.images.get(base_image(&self.planned.plan)?.0)
    }

    fn image_use(&self) -> ImageUse {
        let foreign_base = self.base().is_some_and(|base| {
            let home = base.repository.registry();
            self.config
                .destinations
                .iter()
                .any(|to| Repository::of(to).registry() != home)
        });
        let outputs = &self.config.outputs;
        ImageUse {
            push: self.config.push,
            export: outputs.tar.is_some() || outputs.oci_layout.is_some(),
            foreign_base,
        }
    }

    fn disposable_root(&self) -> Result<DisposableRoot, BuildError> {
        let facts = Facts::gather(BUILD_ID, &self.own_paths());
        let policy = Policy {
            force: self.config.force,
            strict: false,
        };
        let root =
            assess(&facts, policy).map_err(|refusal| BuildError::UnsafeRoot(Box::new(refusal)))?;
        for warning in root.warnings() {
            self.events.warn(warning.clone());
        }
        Ok(root)
    }

    fn check_permission(&self) -> Result<(), BuildError> {
        if !self.config.push || self.config.registry.skip_push_permission_check {
            return Ok(());
        }
        let check = async {
            for destination in &self.config.destinations {
                self.client
                    .check_push_permission(destination)
                    .await
                    .map_err(|source| BuildError::Registry {
                        operation: format!("check that `{destination}` may be pushed"),
                        source: Arc::new(source),
                    })?;
            }
            Ok(())
        };
        workshop::wait(self.runtime.handle(), self.cancel, &self.stopped, check)
    }

    fn workshop(&self) -> Result<Workshop, BuildError> {
        Workshop::new(
            self.events.clone(),
            (self.cancel.clone(), self.stopped.clone()),
            self.runtime.handle().clone(),
            &self.config.kaniko_dir,
            (self.dockerfile.clone(), self.config.context.clone()),
        )
    }

    fn layer_factory(
        &self,
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
        let settings = CompressionSettings::new(compression)
            .level(level)
            .threads(threads);
        settings
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
            )
        });
        Ok(LayerFactory {
            settings,
            work: workshop.work().to_owned(),
            uploads,
            keep: self.image_use().export,
            events: self.events.clone(),
            cancel: self.cancel.clone(),
        })
    }

    fn images(&self, workshop: &Workshop, needs: &Needs) -> Images {
        let images: Vec<(ResolvedImage, bool)> = self
            .planned
            .images
            .iter()
            .enumerate()
            .map(|(index, image)| (image.clone(), needs.keeps(ImageId(index))))
            .collect();
        Images::new(
            self.client.clone(),
            self.runtime.handle().clone(),
            self.stopped.clone(),
            workshop.work().to_owned(),
            images,
        )
    }

    /// What of the root is ours although it is not mounted.
    fn protection(&self, workshop: &Workshop) -> Protection {
        let mut ours = self.own_paths();
        ours.push(workshop.work().to_owned());
        let ignored = self.config.ignore_paths.iter();
        let ignored = ignored
            .filter_map(|path| ImagePath::clamp(path.as_os_str().as_encoded_bytes()).ok())
            .collect();
        Protection { ours, ignored }
    }

    fn own_paths(&self) -> Vec<PathBuf> {
        let mut ours = vec![
            self.config.kaniko_dir.clone(),
            self.config.context.clone(),
            self.dockerfile.clone(),
            PathBuf::from("/kaniko"),
            PathBuf::from("/kigumi"),
            PathBuf::from(kigumi_rootfs::PER_BOOT_MARKER),
        ];
        ours.extend(self.environment.executable.parent().map(PathBuf::from));
        ours.extend(
            setup::credential_files(self.environment)
                .into_iter()
                .filter(|file| file.exists()),
        );
        ours.extend(self.config.outputs.paths().map(PathBuf::from));
        // A path that is the root itself would protect everything.
        ours.retain(|path| path.parent().is_some());
        ours
    }

    fn export(&self, image: &Image) -> Result<(), BuildError> {
        let told = |what, path: &PathBuf| {
            self.events.emit(BuildEvent::Written {
                what,
                path: path.clone(),
            });
        };
        if let Some(path) = &self.config.outputs.oci_layout {
            export::layout(image, path)?;
            told("OCI layout", path);
        }
        if let Some(path) = &self.config.outputs.tar {
            export::archive(image, path, &self.config.destinations)?;
            told("archive", path);
        }
        Ok(())
    }

    /// Blobs, then the config, then the manifests: a tag is old or new, never dangling (I6).
    async fn publish(&self, uploads: &mut Uploads, image: &Image) -> Result<(), BuildError> {
        uploads.finish().await?;
        uploads.push_config(image.config.bytes()).await?;
        for destination in &self.config.destinations {
            uploads
                .push_manifest(destination, &image.media_type, image.manifest.bytes())
                .await?;
        }
        Ok(())
    }
}

/// The image that the target rests on.
fn base_image(plan: &BuildPlan) -> Option<ImageId> {
    let mut stage = plan.stage(plan.target)?;
    // As many steps as there are stages: the planner refuses circles, and this does not trust it.
    for _ in &plan.stages {
        match stage.base {
            Base::Image(id) => return Some(id),
            Base::Scratch => return None,
            Base::Stage(id) => stage = plan.stage(id)?,
        }
    }
    None
}

/// The plan's warnings include the parser's.
fn tell_warnings(planned: &Planned, events: &Events) {
    let file = &planned.dockerfile.source;
    for warning in &planned.plan.warnings {
        let text = report::one_line(warning);
        events.warn(format!("{}:{}: {text}", file.name(), warning.span.line));
    }
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
