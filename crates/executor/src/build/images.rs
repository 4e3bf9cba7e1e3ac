use std::path::PathBuf;
use std::sync::Arc;

use kigumi_layer::Tree;
use kigumi_oci::{Descriptor, layer_compression};
use kigumi_plan::ImageId;
use kigumi_registry::{Client, ResolvedImage, Spool};
use kigumi_run::Cancel;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::contents::Contents;
use super::ground;
use super::layers::Layer;
use super::stage::NumberedLayer;
use crate::error::BuildError;

/// How many layers are fetched at the same time. Registries and their mirrors limit connections; four fill a gigabit line.
const FETCHES: usize = 4;

/// The images that a plan names, and their layers from the moment they are wanted.
#[derive(Debug)]
pub(crate) struct Images {
    client: Client,
    handle: Handle,
    stopped: watch::Receiver<bool>,
    work: PathBuf,
    permits: Arc<Semaphore>,
    entries: Vec<Image>,
}

#[derive(Debug)]
struct Image {
    resolved: ResolvedImage,
    keep: bool,
    layers: Option<Vec<NumberedLayer>>,
    tree: Option<Arc<Tree>>,
}

impl Images {
    /// The images of a plan in its order; `keep` says whose layers stay after their first use.
    pub(crate) fn new(
        client: Client,
        handle: Handle,
        stopped: watch::Receiver<bool>,
        work: PathBuf,
        images: impl IntoIterator<Item = (ResolvedImage, bool)>,
    ) -> Self {
        let entries = images
            .into_iter()
            .map(|(resolved, keep)| Image {
                resolved,
                keep,
                layers: None,
                tree: None,
            })
            .collect();
        Self {
            client,
            handle,
            stopped,
            work,
            permits: Arc::new(Semaphore::new(FETCHES)),
            entries,
        }
    }

    /// What is known of an image but its layers.
    pub(crate) fn resolved(&self, id: ImageId) -> Option<&ResolvedImage> {
        self.entries.get(id.0).map(|image| &image.resolved)
    }

    /// The layers of an image, base layer first, as far as they are known without asking for a byte.
    pub(crate) fn described(
        &mut self,
        id: ImageId,
        contents: &mut Contents,
    ) -> Result<Vec<NumberedLayer>, BuildError> {
        let Some(image) = self.entries.get_mut(id.0) else {
            return Ok(Vec::new());
        };
        if image.layers.is_none() {
            image.layers = Some(describe(&image.resolved, contents)?);
        }
        Ok(image.layers.clone().unwrap_or_default())
    }

    /// The layers of an image, base layer first, with their bytes, which begin to arrive with the first call.
    pub(crate) fn layers(
        &mut self,
        id: ImageId,
        contents: &mut Contents,
    ) -> Result<Vec<NumberedLayer>, BuildError> {
        let mut layers = self.described(id, contents)?;
        let Some(image) = self.entries.get(id.0) else {
            return Ok(layers);
        };
        for (layer, number) in &mut layers {
            if layer.spool.is_none() {
                layer.spool = Some(self.fetch(&image.resolved, &layer.descriptor)?);
                contents.set_layer(*number, layer.spool.clone().filter(|_| image.keep));
            }
        }
        if let Some(image) = self.entries.get_mut(id.0) {
            image.layers = Some(layers.clone());
        }
        Ok(layers)
    }

    /// After the first use: the layers without their bytes, if nobody else wants them.
    pub(crate) fn release(
        &mut self,
        id: ImageId,
        mut layers: Vec<NumberedLayer>,
    ) -> Vec<NumberedLayer> {
        if let Some(image) = self.entries.get_mut(id.0)
            && !image.keep
        {
            image.layers = None;
            for (layer, _) in &mut layers {
                layer.spool = None;
            }
        }
        layers
    }

    /// The image as a value, from the headers of its layers.
    pub(crate) fn tree(
        &mut self,
        id: ImageId,
        layers: &[NumberedLayer],
        cancel: &Cancel,
    ) -> Result<Arc<Tree>, BuildError> {
        if let Some(tree) = self.entries.get(id.0).and_then(|image| image.tree.as_ref()) {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(ground::tree_of(layers, cancel)?);
        if let Some(image) = self.entries.get_mut(id.0) {
            image.tree = Some(Arc::clone(&tree));
        }
        Ok(tree)
    }

    fn fetch(&self, image: &ResolvedImage, descriptor: &Descriptor) -> Result<Spool, BuildError> {
        let (writer, spool) = Spool::create(&self.work).map_err(|source| BuildError::Registry {
            operation: "make a file for a layer of the base".to_owned(),
            source: Arc::new(source),
        })?;
        let (client, permits) = (self.client.clone(), Arc::clone(&self.permits));
        let mut stopped = self.stopped.clone();
        let (repository, blob) = (image.repository.clone(), descriptor.clone());
        self.handle.spawn(async move {
            let Ok(_permit) = permits.acquire().await else {
                return;
            };
            // Whoever reads the spool gets the error; a writer that is dropped fails its readers too.
            tokio::select! {
                _ = client.fetch_blob(&repository, &blob, writer) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        });
        Ok(spool)
    }
}

/// Layers of a manifest with the content that its config promises; the client has checked that there are as many of both.
fn describe(
    image: &ResolvedImage,
    contents: &mut Contents,
) -> Result<Vec<NumberedLayer>, BuildError> {
    let diff_ids = &image.config.value().rootfs.diff_ids;
    let layers = image.manifest.value().layers.iter().zip(diff_ids);
    layers
        .map(|(descriptor, diff_id)| {
            let Some(compression) = layer_compression(&descriptor.media_type) else {
                return Err(BuildError::UnusableImage {
                    reference: image.reference.to_string(),
                    reason: format!(
                        "a layer is a `{}`, which cannot be unpacked",
                        descriptor.media_type
                    ),
                });
            };
            let layer = Layer {
                descriptor: descriptor.clone(),
                diff_id: *diff_id,
                compression,
                latest: None,
                spool: None,
            };
            Ok((layer, contents.add_layer(None)))
        })
        .collect()
}
