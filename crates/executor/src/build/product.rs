//! What a build makes: an image, or an index of images for several platforms.

use std::collections::BTreeMap;

use kigumi_oci::{Descriptor, Digest, Index, MediaType, Raw, media};
use kigumi_plan::rfc3339;

use super::image::Image;
use crate::error::BuildError;

/// When an image was made, for those who look at an index. image-spec v1.1 annotations.md.
const CREATED: &str = "org.opencontainers.image.created";

/// The images of a build, and what names all of them.
#[derive(Debug)]
pub(crate) struct Product {
    /// In the order of the platforms that were asked for.
    pub(crate) images: Vec<Image>,
    /// Absent for a single platform: its manifest is the result (T-FMT-04).
    pub(crate) index: Option<Raw<Index>>,
    /// Descriptor of the manifest or the index.
    pub(crate) descriptor: Descriptor,
}

impl Product {
    /// Puts the images under one name; `epoch` is `SOURCE_DATE_EPOCH`, if the build has one.
    ///
    /// # Errors
    /// [`BuildError::Document`].
    pub(crate) fn new(images: Vec<Image>, epoch: Option<i64>) -> Result<Self, BuildError> {
        if let [image] = images.as_slice() {
            let descriptor = image.descriptor();
            return Ok(Self {
                images,
                index: None,
                descriptor,
            });
        }
        let index = index(&images, epoch);
        let index = Raw::write("index", index).map_err(|source| BuildError::Document {
            what: "index",
            source,
        })?;
        let media_type = MediaType::from(media_type(&images));
        Ok(Self {
            descriptor: Descriptor::new(media_type, index.digest(), index.size()),
            images,
            index: Some(index),
        })
    }

    pub(crate) fn digest(&self) -> Digest {
        self.descriptor.digest
    }

    /// The manifest or the index.
    pub(crate) fn bytes(&self) -> &[u8] {
        let image = self.images.first().map(|image| image.manifest.bytes());
        let index = self.index.as_ref().map(Raw::bytes);
        index.or(image).unwrap_or_default()
    }
}

/// Docker's list holds Docker's manifests only, an OCI index any.
fn media_type(images: &[Image]) -> &'static str {
    let docker = images
        .iter()
        .all(|image| image.media_type.to_string() == media::DOCKER_MANIFEST);
    if docker {
        media::DOCKER_INDEX
    } else {
        media::OCI_INDEX
    }
}

fn index(images: &[Image], epoch: Option<i64>) -> Index {
    let media_type = media_type(images);
    // Docker's lists have no annotations (T-FMT-05).
    let created = epoch.filter(|_| media_type == media::OCI_INDEX);
    let created = created.map(|seconds| (CREATED.to_owned(), rfc3339(seconds)));
    Index {
        schema_version: 2,
        media_type: Some(MediaType::from(media_type)),
        manifests: images.iter().map(Image::descriptor).collect(),
        annotations: created.into_iter().collect::<BTreeMap<_, _>>(),
    }
}

#[cfg(test)]
mod tests {
    use kigumi_oci::{ImageConfig, ImageFormat};

    use super::super::image::assemble;
    use super::*;

    fn image(architecture: &str, format: ImageFormat) -> Image {
        let config = ImageConfig {
            architecture: architecture.into(),
            os: "linux".into(),
            ..ImageConfig::default()
        };
        assemble(config, Vec::new(), format, BTreeMap::new()).unwrap()
    }

    /// T-FMT-04
    #[test]
    fn a_single_image_is_its_manifest() {
        let image = image("amd64", ImageFormat::Oci);
        let digest = image.manifest.digest();
        let product = Product::new(vec![image], Some(0)).unwrap();
        assert_eq!((product.index, product.descriptor.digest), (None, digest));
    }

    /// T-FMT-05
    #[test]
    fn several_images_are_an_index_in_the_order_asked_for() {
        let images = ["arm64", "amd64"].map(|name| image(name, ImageFormat::Oci));
        let product = Product::new(images.into(), Some(1_000)).unwrap();
        let index = product.index.unwrap();
        assert_eq!(index.value().platforms(), ["linux/arm64", "linux/amd64"]);
        assert_eq!(index.value().annotations[CREATED], "1970-01-01T00:16:40Z");
        assert_eq!(product.descriptor.digest, index.digest());
    }

    /// T-PUSH-01
    #[test]
    fn a_list_of_docker_images_is_dockers_and_a_mixed_one_is_not() {
        use ImageFormat::{Docker, Oci};
        for (formats, expected) in [
            ([Docker, Docker], media::DOCKER_INDEX),
            ([Docker, Oci], media::OCI_INDEX),
            ([Oci, Oci], media::OCI_INDEX),
        ] {
            let images = formats.map(|format| image("amd64", format));
            let product = Product::new(images.into(), None).unwrap();
            assert_eq!(product.descriptor.media_type.to_string(), expected);
        }
    }
}
