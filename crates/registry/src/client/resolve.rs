use std::collections::HashSet;

use kigumi_oci::{
    Descriptor, Digest, Document, ImageConfig, Index, Manifest, MediaType, Platform, Raw, Reference,
};

use super::Client;
use super::manifest::Target;
use super::places::pass_over;
use crate::{Error, Operation, Repository, limits};

/// An image of one platform: everything about it but its layers.
#[derive(Clone, Debug)]
pub struct ResolvedImage {
    /// What was asked for.
    pub reference: Reference,
    /// The repository of the reference, which the layers are asked for; they come from where the manifest was found.
    pub repository: Repository,
    /// Where the manifest was found: another repository if a route leads there.
    pub place: Repository,
    /// The digest of the index that the reference names, when it names one.
    pub index_digest: Option<Digest>,
    /// The manifest of the platform.
    pub manifest: Raw<Manifest>,
    /// Its config.
    pub config: Raw<ImageConfig>,
    /// The descriptor of the manifest.
    pub descriptor: Descriptor,
}

impl Client {
    /// Finds the image of `platform` that `reference` names: through indexes, every digest and size verified. Where the repository has
    /// routes, one place after the other is asked (T-PUSH-12).
    ///
    /// # Errors
    /// [`Error::NoPlatform`] names the platforms there are; all else as the registry says, the last one of several.
    pub async fn resolve(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<ResolvedImage, Error> {
        let repository = Repository::of(reference);
        let (mut place, others) = self.places(&repository);
        for next in others {
            match self.resolve_at(&place, reference, platform).await {
                Ok(image) => return Ok(image),
                Err(error) => pass_over(&error, &next),
            }
            place = next;
        }
        self.resolve_at(&place, reference, platform).await
    }

    async fn resolve_at(
        &self,
        place: &Repository,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<ResolvedImage, Error> {
        let mut walk = Walk::new(reference.whole());
        let mut target = Target::of(reference)?;
        let (manifest, descriptor) = loop {
            match self.fetch_document(place, &target).await? {
                Document::Manifest(manifest) => {
                    let descriptor = match target {
                        Target::Descriptor(descriptor) => *descriptor,
                        Target::Tag(_) | Target::Digest(_) => describe(&manifest),
                    };
                    break (*manifest, descriptor);
                }
                Document::Index(index) => {
                    target = Target::Descriptor(Box::new(walk.step(&index, platform)?));
                }
            }
        };
        let config = self.fetch_config(&walk.subject, place, &manifest).await?;
        let repository = Repository::of(reference);
        self.remember(&repository, place);
        Ok(ResolvedImage {
            reference: reference.clone(),
            repository,
            place: place.clone(),
            index_digest: walk.root,
            manifest,
            config,
            descriptor,
        })
    }

    async fn fetch_config(
        &self,
        subject: &str,
        repository: &Repository,
        manifest: &Raw<Manifest>,
    ) -> Result<Raw<ImageConfig>, Error> {
        let descriptor = &manifest.value().config;
        check_config_type(subject, descriptor)?;
        let bytes = self
            .fetch_small_blob(repository, descriptor, limits::JSON)
            .await?;
        let what = format!("fetch blob {} from", descriptor.digest);
        let config = Raw::parse("image config", bytes.into()).map_err(|source| Error::Content {
            operation: Operation::new(what, repository),
            source,
        })?;
        check_layers(subject, manifest.value(), config.value())?;
        Ok(config)
    }
}

/// The way through indexes to a manifest.
pub(crate) struct Walk {
    subject: String,
    root: Option<Digest>,
    seen: HashSet<Digest>,
}

impl Walk {
    pub(crate) fn new(subject: String) -> Self {
        Self {
            subject,
            root: None,
            seen: HashSet::new(),
        }
    }

    /// The index that the walk began with, if there was one.
    pub(crate) const fn root(&self) -> Option<Digest> {
        self.root
    }

    /// The entry of `index` to follow.
    pub(crate) fn step(
        &mut self,
        index: &Raw<Index>,
        platform: &Platform,
    ) -> Result<Descriptor, Error> {
        self.root.get_or_insert(index.digest());
        if !self.seen.insert(index.digest()) || self.seen.len() > limits::INDEX_DEPTH {
            return Err(Error::NestedIndexes {
                subject: self.subject.clone(),
                limit: limits::INDEX_DEPTH,
            });
        }
        let entry = index.value().select(platform);
        entry
            .or_else(|| only_entry(index.value()))
            .cloned()
            .ok_or_else(|| Error::NoPlatform {
                subject: self.subject.clone(),
                wanted: platform.to_string(),
                available: index.value().platforms(),
            })
    }
}

/// The one entry of an index that says nothing of platforms: some tools write such an index around every image.
fn only_entry(index: &Index) -> Option<&Descriptor> {
    match index.manifests.as_slice() {
        [entry] if entry.platform.is_none() => Some(entry),
        _ => None,
    }
}

/// The descriptor of a manifest that was named by tag or digest.
pub(crate) fn describe(manifest: &Raw<Manifest>) -> Descriptor {
    let media_type = manifest.value().media_type.clone();
    Descriptor::new(
        media_type.unwrap_or(MediaType::ImageManifest),
        manifest.digest(),
        manifest.size(),
    )
}

/// Refuses artifacts that are stored like images. Old images have configs of odd types, so only the known others are named.
pub(crate) fn check_config_type(subject: &str, config: &Descriptor) -> Result<(), Error> {
    let media_type = config.media_type.to_string();
    let other = [
        "application/vnd.oci.empty.",
        "application/vnd.cncf.",
        "application/vnd.in-toto",
    ];
    if other.iter().any(|prefix| media_type.starts_with(prefix)) {
        return Err(Error::NotAnImage {
            subject: subject.to_owned(),
            media_type,
        });
    }
    Ok(())
}

/// image-spec v1.1 config.md § `rootfs`: one `diff_id` for every layer.
pub(crate) fn check_layers(
    subject: &str,
    manifest: &Manifest,
    config: &ImageConfig,
) -> Result<(), Error> {
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers == diff_ids {
        return Ok(());
    }
    Err(Error::LayerCount {
        subject: subject.to_owned(),
        layers,
        diff_ids,
    })
}
