//! The image as files: an OCI layout, a docker-save archive.

use std::path::Path;
use std::sync::Arc;

use kigumi_oci::Reference;
use kigumi_registry::{ArchiveWriter, OciLayout};

use super::image::Image;
use super::product::Product;
use crate::error::BuildError;

type Result<T> = std::result::Result<T, BuildError>;

fn failed(what: &'static str, path: &Path) -> impl Fn(kigumi_registry::Error) -> BuildError {
    let operation = format!("write the {what} `{}`", path.display());
    move |source| BuildError::Registry {
        operation: operation.clone(),
        source: Arc::new(source),
    }
}

/// Writes an OCI image layout that holds what was built and nothing else (K-OUT-08).
pub(crate) fn layout(product: &Product, path: &Path) -> Result<()> {
    let failed = failed("OCI layout", path);
    let layout = OciLayout::create(path).map_err(&failed)?;
    for image in &product.images {
        put_image(image, &layout, &failed)?;
    }
    if let Some(index) = &product.index {
        let media_type = product.descriptor.media_type.clone();
        layout
            .put_bytes(media_type, index.bytes())
            .map_err(&failed)?;
    }
    layout.finish(product.descriptor.clone()).map_err(&failed)
}

fn put_image(
    image: &Image,
    layout: &OciLayout,
    failed: impl Fn(kigumi_registry::Error) -> BuildError,
) -> Result<()> {
    for layer in &image.layers {
        layout
            .put_blob(&layer.descriptor, &mut layer.bytes()?)
            .map_err(&failed)?;
    }
    let config = &image.manifest.value().config;
    layout
        .put_bytes(config.media_type.clone(), image.config.bytes())
        .map_err(&failed)?;
    layout
        .put_bytes(image.media_type.clone(), image.manifest.bytes())
        .map(drop)
        .map_err(&failed)
}

/// Writes a docker-save archive under all names of the image (K-OUT-07).
pub(crate) fn archive(image: &Image, path: &Path, names: &[Reference]) -> Result<()> {
    let failed = failed("archive", path);
    let mut archive = ArchiveWriter::create(path).map_err(&failed)?;
    archive.config(image.config.bytes()).map_err(&failed)?;
    for layer in &image.layers {
        archive
            .layer(&layer.descriptor, &mut layer.bytes()?)
            .map_err(&failed)?;
    }
    let tags: Vec<String> = names.iter().map(Reference::whole).collect();
    archive.finish(&tags).map_err(&failed)
}
