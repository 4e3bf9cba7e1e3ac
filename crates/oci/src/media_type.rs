pub use oci_spec::image::MediaType;

/// Docker's media types, which `oci-spec` does not name.
pub mod media {
    /// Docker image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, uncompressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker layer, zstd (never official, but written by some builders).
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker layer that is fetched from its `urls`.
    pub const DOCKER_FOREIGN_LAYER: &str =
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, uncompressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
}

/// How the tar of a layer is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compression {
    /// The bare tar.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Which family of media types an image is written in; the two are never mixed (T-PUSH-01).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ImageFormat {
    /// OCI image manifest.
    #[default]
    Oci,
    /// Docker manifest version 2, schema 2.
    Docker,
}

/// How a layer of this media type is compressed; `None` for types that are not layers that can be unpacked.
pub fn layer_compression(media_type: &MediaType) -> Option<Compression> {
    let text = media_type.to_string();
    Some(match text.as_str() {
        media::OCI_LAYER | media::DOCKER_LAYER => Compression::None,
        media::OCI_LAYER_GZIP
        | media::DOCKER_LAYER_GZIP
        | media::DOCKER_FOREIGN_LAYER
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" => Compression::Gzip,
        media::OCI_LAYER_ZSTD
        | media::DOCKER_LAYER_ZSTD
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd" => Compression::Zstd,
        "application/vnd.oci.image.layer.nondistributable.v1.tar" => Compression::None,
        _ => return None,
    })
}

/// The media type of a layer in an image of `format`; `None` where the format has none (zstd in Docker's, T-PUSH-02).
pub fn layer_media_type(format: ImageFormat, compression: Compression) -> Option<MediaType> {
    let text = match (format, compression) {
        (ImageFormat::Oci, Compression::None) => media::OCI_LAYER,
        (ImageFormat::Oci, Compression::Gzip) => media::OCI_LAYER_GZIP,
        (ImageFormat::Oci, Compression::Zstd) => media::OCI_LAYER_ZSTD,
        (ImageFormat::Docker, Compression::None) => media::DOCKER_LAYER,
        (ImageFormat::Docker, Compression::Gzip) => media::DOCKER_LAYER_GZIP,
        (ImageFormat::Docker, Compression::Zstd) => return None,
    };
    Some(MediaType::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_type_we_write_can_be_read_again() {
        for format in [ImageFormat::Oci, ImageFormat::Docker] {
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                if let Some(media_type) = layer_media_type(format, compression) {
                    assert_eq!(layer_compression(&media_type), Some(compression));
                }
            }
        }
    }

    #[test]
    fn docker_images_have_no_zstd_layers() {
        assert_eq!(
            layer_media_type(ImageFormat::Docker, Compression::Zstd),
            None
        );
    }

    #[test]
    fn an_attestation_is_not_a_layer() {
        assert_eq!(
            layer_compression(&MediaType::from("application/vnd.in-toto+json")),
            None
        );
    }
}
