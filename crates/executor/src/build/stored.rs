//! `executor push`: an image in a file or a directory, on its way to registries. Manifest and config keep their bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_layer::{CompressionSettings, HashingRead, LayerWriter, StreamFormat, decompress};
use kigumi_oci::{
    Compression, Descriptor, DiffId, Digest, Document, ImageConfig, ImageFormat, Manifest,
    MediaType, Raw, Reference, layer_media_type, media,
};
use kigumi_registry::{ArchiveReader, Client, OciLayout, Spool};
use kigumi_run::Cancel;

use super::push::Uploads;
use super::{permission, runtime, setup, workshop};
use crate::cli::{Config, Environment};
use crate::error::BuildError;
use crate::report::Events;

type Result<T> = std::result::Result<T, BuildError>;

/// A manifest that is sent under a digest, or under the tag.
struct Named {
    media_type: MediaType,
    bytes: Vec<u8>,
}

/// Pushes the image at `path` to all destinations and gives its digest.
///
/// # Errors
/// [`BuildError`]; no tag has moved then, except of destinations that were told of.
pub(crate) fn push(
    path: &Path,
    config: &Config,
    environment: &Environment,
    events: &Events,
    cancel: &Cancel,
) -> Result<Digest> {
    let runtime = runtime()?;
    let stopped = workshop::watch_cancel(cancel)?;
    let client_config = setup::client_config(config, environment, events.redactor())?;
    let handle = runtime.handle().clone();
    let pushed = async {
        let started = Client::start(client_config).await;
        let client = started.map_err(failed("prepare to speak to registries"))?;
        permission::check(
            &client,
            &handle,
            permission::wanted(config),
            environment,
            events,
        )
        .await?;
        let path = path.to_owned();
        let work = work(&config.kaniko_dir)?;
        let uploads = Uploads::new(
            client,
            handle,
            events.clone(),
            work.path().to_owned(),
            &config.destinations,
            config.mirrors.ignore_immutable_tags,
        );
        let mut upload = Upload {
            uploads,
            work: work.path().to_owned(),
            destinations: config.destinations.clone(),
        };
        if path.is_dir() {
            upload.layout(&path).await
        } else {
            upload.archive(&path).await
        }
    };
    let result = workshop::wait(runtime.handle(), cancel, &stopped, pushed);
    runtime.shutdown_background();
    result
}

fn work(kaniko_dir: &Path) -> Result<tempfile::TempDir> {
    let failed = |source| BuildError::Work {
        operation: "make a directory for work files",
        directory: kaniko_dir.to_owned(),
        source,
    };
    std::fs::create_dir_all(kaniko_dir).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    builder
        .prefix("push-")
        .tempdir_in(kaniko_dir)
        .map_err(failed)
}

fn failed(operation: &str) -> impl FnOnce(kigumi_registry::Error) -> BuildError {
    let operation = operation.to_owned();
    move |source| BuildError::Registry {
        operation,
        source: Arc::new(source),
    }
}

struct Upload {
    uploads: Uploads,
    work: PathBuf,
    destinations: Vec<Reference>,
}

impl Upload {
    /// Everything that the one entry of the layout names, then its own bytes under the tags.
    async fn layout(&mut self, path: &Path) -> Result<Digest> {
        let operation = format!("read the OCI layout `{}`", path.display());
        let layout = OciLayout::open(path).map_err(failed(&operation))?;
        let top = layout.only().map_err(failed(&operation))?;
        let mut open = vec![top.clone()];
        let mut manifests = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(descriptor) = open.pop() {
            if !seen.insert(descriptor.digest) {
                continue;
            }
            let document = layout.document(&descriptor).map_err(failed(&operation))?;
            let (media_type, bytes) = match &document {
                Document::Manifest(manifest) => {
                    self.blobs(&layout, manifest.value(), &mut seen)?;
                    (manifest.value().media_type.clone(), manifest.bytes())
                }
                Document::Index(index) => {
                    open.extend(index.value().manifests.iter().cloned());
                    (index.value().media_type.clone(), index.bytes())
                }
            };
            // The place where being told to end is noticed.
            tokio::task::yield_now().await;
            manifests.push(Named {
                media_type: media_type.unwrap_or(descriptor.media_type),
                bytes: bytes.to_vec(),
            });
        }
        self.uploads.finish().await?;
        // What an index names has to be there before it: the entry itself came first.
        manifests.reverse();
        let top = manifests.pop();
        for manifest in &manifests {
            self.push_unnamed(manifest).await?;
        }
        self.push_named(top).await
    }

    fn blobs(
        &mut self,
        layout: &OciLayout,
        manifest: &Manifest,
        seen: &mut BTreeSet<Digest>,
    ) -> Result<()> {
        for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
            if seen.insert(blob.digest) {
                let mut bytes = layout
                    .open_blob(blob)
                    .map_err(failed("read the OCI layout"))?;
                let spool = self.spool(&mut bytes, blob)?;
                self.uploads.start(&spool);
            }
        }
        Ok(())
    }

    /// The layers, compressed if they are not, then a Docker manifest of them and of the config as it is.
    ///
    /// COMPAT(kaniko): a Docker manifest.
    async fn archive(&mut self, path: &Path) -> Result<Digest> {
        let operation = format!("read the archive `{}`", path.display());
        let archive = ArchiveReader::open(path).map_err(failed(&operation))?;
        let config = archive.config().map_err(failed(&operation))?;
        let unusable = |reason: String| BuildError::UnusableImage {
            reference: path.display().to_string(),
            reason,
        };
        let config: Raw<ImageConfig> = Raw::parse("image config", config)
            .map_err(|error| unusable(crate::error::chain(&error)))?;
        let diff_ids = &config.value().rootfs.diff_ids;
        if diff_ids.len() != archive.layers() {
            let (layers, diff_ids) = (archive.layers(), diff_ids.len());
            return Err(unusable(format!(
                "it has {layers} layers, and its config names {diff_ids}"
            )));
        }
        let mut layers = Vec::new();
        for (number, diff_id) in diff_ids.iter().enumerate() {
            let layer = || archive.layer(number).map_err(failed(&operation));
            layers.push(self.layer(layer, *diff_id)?);
            // The place where being told to end is noticed.
            tokio::task::yield_now().await;
        }
        let manifest = manifest(&config, &layers);
        let manifest = Raw::write("manifest", manifest).map_err(|source| BuildError::Document {
            what: "manifest",
            source,
        })?;
        self.uploads.finish().await?;
        self.uploads.push_config(config.bytes()).await?;
        let media_type = manifest.value().media_type.clone();
        let named = media_type.map(|media_type| Named {
            media_type,
            bytes: manifest.bytes().to_vec(),
        });
        self.push_named(named).await
    }

    /// Sends a layer and gives its descriptor and compression.
    fn layer<R: Read>(
        &mut self,
        open: impl Fn() -> Result<R>,
        promised: DiffId,
    ) -> Result<(Descriptor, Compression)> {
        let failed_layer = |source| BuildError::Layer {
            operation: format!("read the layer {promised}"),
            source,
        };
        let stream = decompress(open()?).map_err(failed_layer)?;
        let compression = match stream.format() {
            StreamFormat::Gzip => Compression::Gzip,
            StreamFormat::Zstd => Compression::Zstd,
            StreamFormat::Plain | StreamFormat::Bzip2 | StreamFormat::Xz => Compression::None,
        };
        let (writer, spool) =
            Spool::create(&self.work).map_err(failed("make a file for a layer"))?;
        let mut writer = writer;
        let mut stream = HashingRead::new(stream);
        let io_failed = |source| BuildError::Content {
            path: promised.to_string(),
            source,
        };
        let (digest, size) = if compression == Compression::None {
            let settings = CompressionSettings::new(Compression::Gzip);
            let mut layer = LayerWriter::new(&mut writer, &settings).map_err(failed_layer)?;
            io::copy(&mut stream, &mut layer).map_err(io_failed)?;
            let finished = layer.finish().map_err(failed_layer)?;
            (finished.digest, finished.size)
        } else {
            io::copy(&mut stream, &mut io::sink()).map_err(io_failed)?;
            let mut stored = HashingRead::new(open()?);
            let size = io::copy(&mut stored, &mut writer).map_err(io_failed)?;
            (stored.finish().0, size)
        };
        let actual = DiffId(stream.finish().0);
        if actual != promised {
            return Err(BuildError::DiffIdMismatch {
                layer: digest,
                expected: promised,
                actual,
            });
        }
        writer
            .finish(digest, size)
            .map_err(failed("finish a layer"))?;
        self.uploads.start(&spool);
        let compression = match compression {
            Compression::None | Compression::Gzip => Compression::Gzip,
            Compression::Zstd => Compression::Zstd,
        };
        let media_type =
            layer_media_type(ImageFormat::Oci, compression).unwrap_or(MediaType::ImageLayerGzip);
        Ok((Descriptor::new(media_type, digest, size), compression))
    }

    fn spool(&self, bytes: &mut dyn Read, descriptor: &Descriptor) -> Result<Spool> {
        let (mut writer, spool) =
            Spool::create(&self.work).map_err(failed("make a file for a blob"))?;
        io::copy(bytes, &mut writer).map_err(|source| BuildError::Content {
            path: descriptor.digest.to_string(),
            source,
        })?;
        let finished = writer.finish(descriptor.digest, descriptor.size);
        finished.map_err(failed("finish a blob"))?;
        Ok(spool)
    }

    async fn push_unnamed(&self, manifest: &Named) -> Result<()> {
        let digest = Digest::of(&manifest.bytes).to_string();
        let mut references: Vec<Reference> = Vec::new();
        for destination in &self.destinations {
            let (registry, name) = (destination.registry(), destination.repository());
            let reference =
                Reference::with_digest(registry.to_owned(), name.to_owned(), digest.clone());
            if !references.contains(&reference) {
                references.push(reference);
            }
        }
        self.uploads
            .push_manifests(&references, &manifest.media_type, &manifest.bytes)
            .await
    }

    /// A tag moves last.
    async fn push_named(&self, manifest: Option<Named>) -> Result<Digest> {
        let Some(manifest) = manifest else {
            return Err(BuildError::Machine {
                operation: "push an image without a manifest; this is a defect of kigumi, please report it",
                source: io::Error::from(io::ErrorKind::NotFound),
            });
        };
        self.uploads
            .push_manifests(&self.destinations, &manifest.media_type, &manifest.bytes)
            .await?;
        Ok(Digest::of(&manifest.bytes))
    }
}

/// A Docker manifest, unless a layer is compressed as only an OCI image may hold it (T-PUSH-02).
fn manifest(config: &Raw<ImageConfig>, layers: &[(Descriptor, Compression)]) -> Manifest {
    let in_docker = |(_, compression): &(Descriptor, Compression)| {
        layer_media_type(ImageFormat::Docker, *compression)
    };
    let types: Option<Vec<MediaType>> = layers.iter().map(in_docker).collect();
    let (config_type, manifest_type, types) = if let Some(types) = types {
        (media::DOCKER_CONFIG, media::DOCKER_MANIFEST, types)
    } else {
        let types = layers.iter().map(|(layer, _)| layer.media_type.clone());
        (media::OCI_CONFIG, media::OCI_MANIFEST, types.collect())
    };
    let layers = layers.iter().zip(types);
    Manifest {
        schema_version: 2,
        media_type: Some(MediaType::from(manifest_type)),
        artifact_type: None,
        config: Descriptor::new(MediaType::from(config_type), config.digest(), config.size()),
        layers: layers
            .map(|((layer, _), media_type)| Descriptor::new(media_type, layer.digest, layer.size))
            .collect(),
        annotations: BTreeMap::new(),
    }
}
