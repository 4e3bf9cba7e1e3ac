use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use kigumi_layer::Tree;
use kigumi_oci::{Descriptor, layer_compression};
use kigumi_plan::ImageId;
use kigumi_registry::{Client, OciLayout, Repository, Spool, SpoolWriter};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::base_cache::{self, BaseCache};
use super::contents::Contents;
use super::found::{self, FoundImage, Home};
use super::layers::Layer;
use super::needs::Lasting;
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
    warmed: Option<BaseCache>,
    entries: Vec<Image>,
    /// Layers that were asked for before anybody wanted them, by their numbers.
    ahead: BTreeMap<u32, Spool>,
}

#[derive(Debug)]
struct Image {
    found: FoundImage,
    lasting: Lasting,
    layers: Option<Vec<NumberedLayer>>,
    tree: Option<Arc<Tree>>,
    /// Where the warmer has put outlines, if it has: looked for once, whatever number of layers there is.
    beside: OnceLock<Option<PathBuf>>,
}

impl Images {
    /// The images of a plan in its order; with how long their layers are wanted. Those that are `warmed` are not fetched.
    pub(crate) fn new(
        client: Client,
        handle: Handle,
        stopped: watch::Receiver<bool>,
        work: PathBuf,
        warmed: Option<BaseCache>,
        images: impl IntoIterator<Item = (FoundImage, Lasting)>,
    ) -> Self {
        let entries = images
            .into_iter()
            .map(|(found, lasting)| Image {
                found,
                lasting,
                layers: None,
                tree: None,
                beside: OnceLock::new(),
            })
            .collect();
        Self {
            client,
            handle,
            stopped,
            work,
            permits: Arc::new(Semaphore::new(FETCHES)),
            warmed,
            entries,
            ahead: BTreeMap::new(),
        }
    }

    /// What is known of an image but its layers.
    pub(crate) fn found(&self, id: ImageId) -> Option<&FoundImage> {
        self.entries.get(id.0).map(|image| &image.found)
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
            image.layers = Some(describe(&image.found, contents)?);
        }
        Ok(image.layers.clone().unwrap_or_default())
    }

    /// The bytes of a numbered layer, which begin to arrive, and whether they are wanted more than once; none if it is no layer of an image.
    pub(crate) fn bytes(&mut self, number: u32) -> Result<Option<(Spool, bool)>, BuildError> {
        let ahead = self.ahead.remove(&number);
        self.of_layer(number)
            .map(|(image, layer)| {
                let spool = match ahead {
                    Some(spool) => spool,
                    None => self.fetch(&image.found, &layer.descriptor)?,
                };
                Ok((spool, image.lasting == Lasting::Always))
            })
            .transpose()
    }

    /// Lets a layer begin to arrive that will be wanted, unless it was asked for already.
    pub(crate) fn fetch_ahead(&mut self, number: u32) -> Result<(), BuildError> {
        if !self.ahead.contains_key(&number)
            && let Some((image, layer)) = self.of_layer(number)
        {
            let spool = self.fetch(&image.found, &layer.descriptor)?;
            self.ahead.insert(number, spool);
        }
        Ok(())
    }

    /// After the first use: the layers without their bytes, if nobody else wants them. Their space is freed beside the build, because that takes time for
    /// a large file.
    pub(crate) fn release(&self, id: ImageId, layers: &mut [NumberedLayer]) {
        let image = self.entries.get(id.0);
        if image.is_some_and(|image| image.lasting != Lasting::Always) {
            let layers = layers.iter_mut();
            let spools: Vec<Spool> = layers.filter_map(|(layer, _)| layer.spool.take()).collect();
            let freeing = std::thread::Builder::new().name("release".to_owned());
            // Where there is no thread to be had they are freed here.
            drop(freeing.spawn(move || drop(spools)));
        }
    }

    /// The image as a value, if it was made already.
    pub(crate) fn tree(&self, id: ImageId) -> Option<Arc<Tree>> {
        self.entries.get(id.0)?.tree.clone()
    }

    /// Remembers the image as a value.
    pub(crate) fn set_tree(&mut self, id: ImageId, tree: &Arc<Tree>) {
        if let Some(image) = self.entries.get_mut(id.0) {
            image.tree = Some(Arc::clone(tree));
        }
    }

    /// Whether nobody wants more of a numbered layer than its headers.
    pub(crate) fn skims(&self, number: u32) -> bool {
        self.of_layer(number)
            .is_some_and(|(image, _)| image.lasting == Lasting::Headers)
    }

    /// Whether a numbered layer is wanted until it is unpacked and not again.
    pub(crate) fn is_wanted_once(&self, number: u32) -> bool {
        self.of_layer(number)
            .is_some_and(|(image, _)| image.lasting == Lasting::Once)
    }

    /// Whether a numbered layer is one of an image.
    pub(crate) fn has_layer(&self, number: u32) -> bool {
        self.of_layer(number).is_some()
    }

    /// Where the warmer has put the outline of a numbered layer, if it has.
    pub(crate) fn outlines_beside(&self, number: u32) -> Option<PathBuf> {
        let (image, _) = self.of_layer(number)?;
        let (warmed, digest) = (self.warmed.as_ref()?, image.found.descriptor.digest);
        let look = || {
            let is_warm = matches!(image.found.home, Home::Registry(_))
                && matches!(warmed.entry(digest), base_cache::Entry::Layout(_));
            is_warm.then(|| warmed.outlines(digest))
        };
        image.beside.get_or_init(look).clone()
    }

    fn of_layer(&self, number: u32) -> Option<(&Image, &Layer)> {
        self.entries.iter().find_map(|image| {
            let mut layers = image.layers.iter().flatten();
            let (layer, _) = layers.find(|(_, known)| *known == number)?;
            Some((image, layer))
        })
    }

    fn fetch(&self, image: &FoundImage, descriptor: &Descriptor) -> Result<Spool, BuildError> {
        match &image.home {
            Home::Registry(repository) => self.pull(image, repository, descriptor),
            Home::Layout(layout) => self.read(layout, descriptor),
        }
    }

    fn read(&self, layout: &OciLayout, descriptor: &Descriptor) -> Result<Spool, BuildError> {
        found::from_layout(layout, descriptor, &self.work).map_err(|source| BuildError::Registry {
            operation: "read a layer of the base".to_owned(),
            source: Arc::new(source),
        })
    }

    fn pull(
        &self,
        image: &FoundImage,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Spool, BuildError> {
        let (writer, spool) = Spool::create(&self.work).map_err(|source| BuildError::Registry {
            operation: "make a file for a layer of the base".to_owned(),
            source: Arc::new(source),
        })?;
        let (client, permits) = (self.client.clone(), Arc::clone(&self.permits));
        let warmed = self.warmed.as_ref();
        let warmed = warmed.and_then(|cache| cache.layout(image.descriptor.digest));
        let mut stopped = self.stopped.clone();
        let (repository, blob) = (repository.clone(), descriptor.clone());
        self.handle.spawn(async move {
            let Ok(_permit) = permits.acquire().await else {
                return;
            };
            // Whoever reads the spool gets the error; a writer that is dropped fails its readers too.
            tokio::select! {
                () = arrive(&client, &repository, &blob, warmed, writer) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        });
        Ok(spool)
    }
}

/// A layer from beside the build, else from the registry.
async fn arrive(
    client: &Client,
    repository: &Repository,
    blob: &Descriptor,
    warmed: Option<OciLayout>,
    mut writer: SpoolWriter,
) {
    if let Some(layout) = warmed {
        let wanted = blob.clone();
        let copying = move || base_cache::copy(&layout, &wanted, writer);
        match tokio::task::spawn_blocking(copying).await {
            Ok(Some(unused)) => writer = unused,
            // A panic drops the writer, which fails the readers.
            Ok(None) | Err(_) => return,
        }
    }
    // Whoever reads the spool gets the error.
    drop(client.fetch_blob(repository, blob, writer).await);
}

/// Layers of a manifest with the content that its config promises; the client has checked that there are as many of both.
fn describe(image: &FoundImage, contents: &mut Contents) -> Result<Vec<NumberedLayer>, BuildError> {
    let diff_ids = &image.config.value().rootfs.diff_ids;
    let layers = image.manifest.value().layers.iter().zip(diff_ids);
    layers
        .map(|(descriptor, diff_id)| {
            let Some(compression) = layer_compression(&descriptor.media_type) else {
                return Err(BuildError::UnusableImage {
                    reference: image.reference.clone(),
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
