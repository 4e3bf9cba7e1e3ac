use std::collections::BTreeMap;
use std::io::Write;

use flate2::write::GzEncoder;
use kigumi_oci::{
    Compression, ContainerConfig, Descriptor, DiffId, Digest, HistoryEntry, ImageConfig,
    ImageFormat, Index, Manifest, MediaType, Platform, Raw, RootFs, layer_media_type, media,
};

use crate::FakeRegistry;

/// A small image, built up in code and published to a [`FakeRegistry`].
#[derive(Clone, Debug)]
pub struct TestImage {
    layers: Vec<Vec<(String, Vec<u8>)>>,
    compression: Compression,
    format: ImageFormat,
    platform: Platform,
    config: ContainerConfig,
}

/// What was published: bytes and descriptors, to compare with.
#[derive(Clone, Debug)]
pub struct PublishedImage {
    /// The manifest, as bytes and value.
    pub manifest: Raw<Manifest>,
    /// The config, as bytes and value.
    pub config: Raw<ImageConfig>,
    /// The layers' descriptors, base layer first.
    pub layers: Vec<Descriptor>,
    /// The layers as stored.
    pub blobs: Vec<Vec<u8>>,
}

impl PublishedImage {
    /// The descriptor of the manifest, with its platform, as an index has it.
    pub fn descriptor(&self) -> Descriptor {
        let media_type = self.manifest.value().media_type.clone();
        let media_type = media_type.unwrap_or(MediaType::ImageManifest);
        let mut descriptor = Descriptor::of(media_type, self.manifest.bytes());
        descriptor.platform = Some(self.config.value().platform());
        descriptor
    }
}

impl Default for TestImage {
    fn default() -> Self {
        Self::new()
    }
}

impl TestImage {
    /// An image of `linux/amd64` without layers, OCI, gzip.
    pub fn new() -> Self {
        Self {
            layers: Vec::new(),
            compression: Compression::Gzip,
            format: ImageFormat::Oci,
            platform: Platform::new("linux", "amd64", None),
            config: ContainerConfig::default(),
        }
    }

    /// Adds a layer with one regular file.
    #[must_use]
    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.layer(&[(path, content)])
    }

    /// Adds a layer of regular files, in order.
    #[must_use]
    pub fn layer(mut self, files: &[(&str, &[u8])]) -> Self {
        let owned = |(path, content): &(&str, &[u8])| ((*path).to_owned(), content.to_vec());
        self.layers.push(files.iter().map(owned).collect());
        self
    }

    /// How layers are compressed.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Which media types are used.
    #[must_use]
    pub const fn format(mut self, format: ImageFormat) -> Self {
        self.format = format;
        self
    }

    /// The platform in the config: `linux/arm64`.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn platform(mut self, platform: &str) -> Self {
        self.platform = platform.parse().expect("a platform of a test");
        self
    }

    /// What a container runs with.
    #[must_use]
    pub fn config(mut self, config: ContainerConfig) -> Self {
        self.config = config;
        self
    }

    /// Makes the image without publishing it.
    ///
    /// # Panics
    /// For a compression that the format does not have.
    pub fn build(&self) -> PublishedImage {
        let media_type = layer_media_type(self.format, self.compression)
            .expect("a compression that the format has");
        let tars: Vec<Vec<u8>> = self.layers.iter().map(|files| tar_of(files)).collect();
        let blobs: Vec<Vec<u8>> = tars
            .iter()
            .map(|tar| compress(tar, self.compression))
            .collect();
        let layers: Vec<Descriptor> = blobs
            .iter()
            .map(|blob| Descriptor::of(media_type.clone(), blob))
            .collect();
        let diff_ids = tars.iter().map(|tar| DiffId(Digest::of(tar))).collect();
        let config = Raw::write("image config", self.image_config(diff_ids)).expect("a config");
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::from(match self.format {
                ImageFormat::Oci => media::OCI_MANIFEST,
                ImageFormat::Docker => media::DOCKER_MANIFEST,
            })),
            artifact_type: None,
            config: Descriptor::of(
                MediaType::from(match self.format {
                    ImageFormat::Oci => media::OCI_CONFIG,
                    ImageFormat::Docker => media::DOCKER_CONFIG,
                }),
                config.bytes(),
            ),
            layers: layers.clone(),
            annotations: BTreeMap::new(),
        };
        PublishedImage {
            manifest: Raw::write("manifest", manifest).expect("a manifest"),
            config,
            layers,
            blobs,
        }
    }

    /// Publishes the image under `repository:tag`.
    pub fn publish(&self, registry: &FakeRegistry, repository: &str, tag: &str) -> PublishedImage {
        let image = self.build();
        registry.put_blob(repository, image.config.bytes());
        for blob in &image.blobs {
            registry.put_blob(repository, blob);
        }
        let media_type = image.manifest.value().media_type.as_ref();
        let media_type = media_type.map(ToString::to_string).unwrap_or_default();
        registry.put_manifest(repository, Some(tag), &media_type, image.manifest.bytes());
        image
    }

    /// Publishes an index of images (published in the same repository) under `repository:tag`.
    ///
    /// # Panics
    /// When it cannot be written as JSON, which all of them can.
    pub fn publish_index(
        registry: &FakeRegistry,
        repository: &str,
        tag: &str,
        manifests: Vec<Descriptor>,
    ) -> Raw<Index> {
        let index = Index {
            schema_version: 2,
            media_type: Some(MediaType::ImageIndex),
            manifests,
            annotations: BTreeMap::new(),
        };
        let index = Raw::write("index", index).expect("an index");
        registry.put_manifest(repository, Some(tag), media::OCI_INDEX, index.bytes());
        index
    }

    fn image_config(&self, diff_ids: Vec<DiffId>) -> ImageConfig {
        let entry = |number| HistoryEntry {
            created_by: Some(format!("layer {number}")),
            ..HistoryEntry::default()
        };
        ImageConfig {
            architecture: self.platform.architecture.clone(),
            os: self.platform.os.clone(),
            variant: self.platform.variant.clone(),
            config: self.config.clone(),
            history: (0..diff_ids.len()).map(entry).collect(),
            rootfs: RootFs {
                diff_ids,
                ..RootFs::default()
            },
            ..ImageConfig::default()
        }
    }
}

fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, path, content.as_slice())
            .expect("writing to memory");
    }
    builder.into_inner().expect("writing to memory")
}

fn compress(tar: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => tar.to_vec(),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar).expect("writing to memory");
            encoder.finish().expect("writing to memory")
        }
        Compression::Zstd => zstd::encode_all(tar, 1).expect("writing to memory"),
    }
}
