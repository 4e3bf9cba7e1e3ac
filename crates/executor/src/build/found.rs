//! Images that were found, wherever that was.

use std::io;
use std::path::Path;
use std::sync::Arc;

use kigumi_oci::{Descriptor, ImageConfig, Manifest, Platform, Raw, parse_reference};
use kigumi_plan::{BaseImage, ImageQuery};
use kigumi_registry::{Client, LayoutName, OciLayout, Repository, Spool};

use crate::cli::{ContextFlag, ContextPlace};
use crate::error::BuildError;

/// An image of one platform: everything about it but its layers.
#[derive(Debug, Clone)]
pub(crate) struct FoundImage {
    /// As it was asked for.
    pub(crate) reference: String,
    /// Where its layers are.
    pub(crate) home: Home,
    /// The manifest of the platform.
    pub(crate) manifest: Raw<Manifest>,
    /// Its config.
    pub(crate) config: Raw<ImageConfig>,
    /// The descriptor of the manifest.
    pub(crate) descriptor: Descriptor,
}

/// Where the layers of an image are.
#[derive(Debug, Clone)]
pub(crate) enum Home {
    /// In a registry.
    Registry(Repository),
    /// In a directory.
    Layout(OciLayout),
}

impl FoundImage {
    /// What the planner is told of it.
    pub(crate) fn answer(&self) -> BaseImage {
        let layers = &self.manifest.value().layers;
        BaseImage {
            reference: self.reference.clone(),
            digest: self.descriptor.digest,
            config: self.config.value().clone(),
            sizes: layers.iter().map(|layer| layer.size).collect(),
        }
    }

    /// The repository that its layers can be mounted or copied from.
    pub(crate) fn repository(&self) -> Option<&Repository> {
        match &self.home {
            Home::Registry(repository) => Some(repository),
            Home::Layout(_) => None,
        }
    }
}

/// Answers a question of the planner: from the layout that a context names, else from a registry.
pub(crate) async fn find(
    query: &ImageQuery,
    contexts: &[ContextFlag],
    client: &Client,
) -> Result<FoundImage, BuildError> {
    let layout = contexts
        .iter()
        .find_map(|flag| match (&flag.place, flag.context.kind()) {
            (ContextPlace::Layout { path, name }, kigumi_plan::ContextKind::Image(reference))
                if *reference == query.reference =>
            {
                Some((path, name))
            }
            _ => None,
        });
    match layout {
        Some((path, name)) => in_layout(path, name, query),
        None => in_registry(query, client).await,
    }
    .map_err(|error| match error {
        Lookup::Reference(reason) => BuildError::UnusableImage {
            reference: query.reference.clone(),
            reason,
        },
        Lookup::Failed(source) => BuildError::Registry {
            operation: format!("find the image `{}`", query.reference),
            source: Arc::new(source),
        },
    })
}

enum Lookup {
    Reference(String),
    Failed(kigumi_registry::Error),
}

fn in_layout(path: &Path, name: &LayoutName, query: &ImageQuery) -> Result<FoundImage, Lookup> {
    let found = || {
        let layout = OciLayout::open(path)?;
        let image = layout.resolve(name, platform(query))?;
        Ok(FoundImage {
            reference: query.reference.clone(),
            home: Home::Layout(layout),
            manifest: image.manifest,
            config: image.config,
            descriptor: image.descriptor,
        })
    };
    found().map_err(Lookup::Failed)
}

async fn in_registry(query: &ImageQuery, client: &Client) -> Result<FoundImage, Lookup> {
    let reference =
        parse_reference(&query.reference).map_err(|error| Lookup::Reference(error.to_string()))?;
    let resolving = client.resolve(&reference, platform(query));
    let image = resolving.await.map_err(Lookup::Failed)?;
    Ok(FoundImage {
        reference: query.reference.clone(),
        home: Home::Registry(image.repository),
        manifest: image.manifest,
        config: image.config,
        descriptor: image.descriptor,
    })
}

fn platform(query: &ImageQuery) -> &Platform {
    &query.platform
}

/// A layer of a layout in a spool, verified to its last byte: what it is in the directory may change under us.
pub(crate) fn from_layout(
    layout: &OciLayout,
    descriptor: &Descriptor,
    work: &Path,
) -> Result<Spool, kigumi_registry::Error> {
    let (mut writer, spool) = Spool::create(work)?;
    let mut blob = layout.open_blob(descriptor)?;
    match io::copy(&mut blob, &mut writer) {
        Ok(_) => writer.finish(descriptor.digest, descriptor.size)?,
        Err(error) => writer.fail(Arc::new(error)),
    }
    Ok(spool)
}
