//! The documents of a finished image.

use std::collections::BTreeMap;

use kigumi_oci::{
    Descriptor, ImageConfig, ImageFormat, Manifest, MediaType, Raw, layer_media_type, media,
};

use super::layers::Layer;
use super::stage::NumberedLayer;
use crate::error::BuildError;

/// The annotation of a layer whose times were made no newer than this one, in seconds since 1970.
///
/// COMPAT(buildkit): the same name (T-FMT-06).
const REWRITTEN: &str = "buildkit/rewritten-timestamp";

/// An image that needs nothing any more but to be sent somewhere.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) config: Raw<ImageConfig>,
    pub(crate) manifest: Raw<Manifest>,
    pub(crate) media_type: MediaType,
    /// Base layer first, as the manifest lists them.
    pub(crate) layers: Vec<Layer>,
}

impl Image {
    /// What refers to its manifest, platform included.
    pub(crate) fn descriptor(&self) -> Descriptor {
        let manifest = &self.manifest;
        let mut descriptor =
            Descriptor::new(self.media_type.clone(), manifest.digest(), manifest.size());
        descriptor.platform = Some(self.config.value().platform());
        descriptor
    }
}

/// Which family of media types an image is written in: as asked, else as its base (K-DROP, T-PUSH-01).
pub(crate) fn format(asked: Option<ImageFormat>, base: Option<&Raw<Manifest>>) -> ImageFormat {
    let of_base = || {
        let media_type = base?.value().media_type.as_ref()?;
        (media_type.to_string() == media::DOCKER_MANIFEST).then_some(ImageFormat::Docker)
    };
    asked.or_else(of_base).unwrap_or_default()
}

/// Puts an image together.
///
/// # Errors
/// [`BuildError::UnusableImage`] for a layer that the format cannot hold, or a history that contradicts the layers: a defect, and better no image than that one.
pub(crate) fn assemble(
    mut config: ImageConfig,
    layers: Vec<NumberedLayer>,
    format: ImageFormat,
    annotations: BTreeMap<String, String>,
) -> Result<Image, BuildError> {
    let layers: Vec<Layer> = layers
        .into_iter()
        .map(|(layer, _)| relabel(layer, format))
        .collect::<Result<_, _>>()?;
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let (config_type, manifest_type) = match format {
        ImageFormat::Oci => (media::OCI_CONFIG, media::OCI_MANIFEST),
        ImageFormat::Docker => (media::DOCKER_CONFIG, media::DOCKER_MANIFEST),
    };
    let config = Raw::write("image config", config).map_err(|source| BuildError::Document {
        what: "config",
        source,
    })?;
    let media_type = MediaType::from(manifest_type);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type.clone()),
        artifact_type: None,
        config: Descriptor::new(MediaType::from(config_type), config.digest(), config.size()),
        layers: layers
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect(),
        // COMPAT(kaniko): in Docker's manifests too, where readers do not look for them.
        annotations,
    };
    let manifest = Raw::write("manifest", manifest).map_err(|source| BuildError::Document {
        what: "manifest",
        source,
    })?;
    Ok(Image {
        config,
        manifest,
        media_type,
        layers,
    })
}

/// The same bytes under the media type of this format (T-PUSH-02, T-PUSH-10).
fn relabel(mut layer: Layer, format: ImageFormat) -> Result<Layer, BuildError> {
    let Some(media_type) = layer_media_type(format, layer.compression) else {
        return Err(BuildError::UnusableImage {
            reference: "the base".to_owned(),
            reason: format!(
                "its layer {} is compressed with zstd, which a Docker image cannot hold; pass --image-format=oci",
                layer.descriptor.digest
            ),
        });
    };
    // Annotations and urls of a base's descriptors are about the base (T-PUSH-04).
    layer.descriptor = Descriptor::new(media_type, layer.descriptor.digest, layer.descriptor.size);
    // Docker's manifests have no annotations.
    if let (Some(latest), ImageFormat::Oci) = (layer.latest, format) {
        let annotation = (REWRITTEN.to_owned(), { latest.seconds }.to_string());
        layer.descriptor.annotations = [annotation].into();
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use kigumi_layer::Timestamp;
    use kigumi_oci::{Compression, DiffId, Digest};

    use super::*;

    fn layer(media_type: &str, compression: Compression) -> NumberedLayer {
        let descriptor = Descriptor::of(MediaType::from(media_type), b"layer");
        (
            Layer {
                descriptor,
                diff_id: DiffId(Digest::of(b"tar")),
                compression,
                latest: None,
                spool: None,
            },
            0,
        )
    }

    /// T-FMT-06
    #[test]
    fn layers_with_clamped_times_say_so_where_the_format_can() {
        for (format, annotation) in [(ImageFormat::Oci, Some("7")), (ImageFormat::Docker, None)] {
            let mut layers = vec![
                layer(media::OCI_LAYER_GZIP, Compression::Gzip),
                layer(media::OCI_LAYER_GZIP, Compression::Gzip),
            ];
            layers[1].0.latest = Some(Timestamp::from_seconds(7));
            let image = assemble(ImageConfig::default(), layers, format, BTreeMap::new()).unwrap();
            let said: Vec<Option<&str>> = image
                .manifest
                .value()
                .layers
                .iter()
                .map(|layer| layer.annotations.get(REWRITTEN).map(String::as_str))
                .collect();
            assert_eq!(said, [None, annotation]);
        }
    }

    #[test]
    fn annotations_of_the_layers_of_a_base_stay_with_the_base_t_push_04() {
        let mut layers = vec![layer(media::OCI_LAYER_GZIP, Compression::Gzip)];
        let said = ("org.example.note".to_owned(), "of the base".to_owned());
        layers[0].0.descriptor.annotations = [said].into();
        let format = ImageFormat::Oci;
        let image = assemble(ImageConfig::default(), layers, format, BTreeMap::new()).unwrap();
        let manifest = image.manifest.value();
        assert!(manifest.layers[0].annotations.is_empty());
        assert!(manifest.annotations.is_empty());
    }

    #[test]
    fn docker_and_oci_types_are_never_mixed_t_push_01() {
        let layers = vec![
            layer(media::DOCKER_LAYER_GZIP, Compression::Gzip),
            layer(media::OCI_LAYER_GZIP, Compression::Gzip),
        ];
        let image = assemble(
            ImageConfig::default(),
            layers.clone(),
            ImageFormat::Docker,
            BTreeMap::new(),
        )
        .unwrap();
        assert!(
            image
                .manifest
                .value()
                .layers
                .iter()
                .all(|layer| layer.media_type.to_string() == media::DOCKER_LAYER_GZIP)
        );
        let image = assemble(
            ImageConfig::default(),
            layers,
            ImageFormat::Oci,
            BTreeMap::new(),
        )
        .unwrap();
        assert!(
            image
                .manifest
                .value()
                .layers
                .iter()
                .all(|layer| layer.media_type.to_string() == media::OCI_LAYER_GZIP)
        );
    }

    #[test]
    fn a_docker_image_with_a_zstd_layer_is_refused_t_push_02() {
        let layers = vec![layer(media::OCI_LAYER_ZSTD, Compression::Zstd)];
        let error = assemble(
            ImageConfig::default(),
            layers,
            ImageFormat::Docker,
            BTreeMap::new(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("--image-format=oci"), "{error}");
    }

    #[test]
    fn annotations_are_in_the_manifest_of_either_format() {
        for format in [ImageFormat::Oci, ImageFormat::Docker] {
            let annotations = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
            let image = assemble(ImageConfig::default(), Vec::new(), format, annotations).unwrap();
            let text = String::from_utf8(image.manifest.bytes().to_vec()).unwrap();
            assert!(text.contains(r#""annotations":{"a":"b"}"#), "{text}");
        }
    }

    #[test]
    fn an_image_without_layers_lists_none_rather_than_null_t_stage_14() {
        let image = assemble(
            ImageConfig::default(),
            Vec::new(),
            ImageFormat::Oci,
            BTreeMap::new(),
        )
        .unwrap();
        let text = String::from_utf8(image.manifest.bytes().to_vec()).unwrap();
        assert!(text.contains(r#""layers":[]"#), "{text}");
    }
}
