//! Where entries are: in a repository, a tag each, or below a directory, a layout each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_oci::{Descriptor, MediaType, Reference, media};
use kigumi_registry::{BlobSource, Client, Error, OciLayout, PushOutcome, Repository, Spool};

use super::entry::EMPTY;
use super::{BlobPlace, record};
use crate::cli::CachePlace;

/// The place of a cache. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Backend {
    Registry {
        client: Client,
        repository: Repository,
    },
    Directory(PathBuf),
}

/// A blob to be kept.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) descriptor: Descriptor,
    /// Complete.
    pub(super) spool: Spool,
    /// Repositories that have it.
    pub(super) near: Vec<Repository>,
}

impl Blob {
    pub(super) fn of_bytes(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            descriptor: Descriptor::of(MediaType::from(media_type), bytes),
            spool: Spool::of_bytes(bytes.to_vec()),
            near: Vec::new(),
        }
    }
}

impl Backend {
    pub(super) fn new(place: &CachePlace, client: Client) -> Self {
        match place {
            CachePlace::Repository(reference) => Self::Registry {
                client,
                repository: Repository::of(reference),
            },
            CachePlace::Directory(path) => Self::Directory(path.clone()),
        }
    }

    /// For messages.
    pub(super) fn name(&self, tag: &str) -> String {
        match self {
            Self::Registry { repository, .. } => format!("{repository}:{tag}"),
            Self::Directory(path) => path.join(tag).display().to_string(),
        }
    }

    /// All of it, for messages.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Registry { repository, .. } => repository.to_string(),
            Self::Directory(path) => path.display().to_string(),
        }
    }

    /// Whether it is where these blobs are.
    pub(super) fn has(&self, place: &BlobPlace) -> bool {
        match (self, place) {
            (Self::Registry { repository, .. }, BlobPlace::Repository(other)) => {
                repository == other
            }
            (Self::Directory(path), BlobPlace::Layout(layout)) => layout.path().starts_with(path),
            (Self::Registry { .. }, BlobPlace::Layout(_))
            | (Self::Directory(_), BlobPlace::Repository(_)) => false,
        }
    }

    /// Where the blobs of an entry are.
    pub(super) fn blobs(&self, tag: &str) -> Result<BlobPlace, Error> {
        match self {
            Self::Registry { repository, .. } => Ok(BlobPlace::Repository(repository.clone())),
            Self::Directory(path) => OciLayout::open(&path.join(tag)).map(BlobPlace::Layout),
        }
    }

    /// The manifest at a tag, if there is one.
    pub(super) async fn manifest(&self, tag: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Registry { client, repository } => {
                let reference = reference(repository, tag);
                client.fetch_manifest_bytes(&reference).await
            }
            Self::Directory(path) => {
                let path = path.join(tag);
                blocking(move || read_manifest(&path)).await
            }
        }
    }

    /// A record that does not stand in its manifest.
    pub(super) async fn record(
        &self,
        tag: &str,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, Error> {
        match self {
            Self::Registry { client, repository } => {
                let bytes = client.fetch_blob_bytes(repository, descriptor, record::LIMIT);
                bytes.await.map(Into::into)
            }
            Self::Directory(path) => {
                let (path, descriptor) = (path.join(tag), descriptor.clone());
                blocking(move || OciLayout::open(&path)?.blob_bytes(&descriptor, record::LIMIT))
                    .await
            }
        }
    }

    /// Keeps an entry: its blobs, then its manifest. Who comes at the same time finds the old entry or the new one.
    pub(super) async fn put(
        &self,
        tag: &str,
        blobs: Vec<Blob>,
        manifest: Vec<u8>,
    ) -> Result<(), Error> {
        match self {
            Self::Registry { client, repository } => {
                for blob in blobs {
                    push_blob(client, repository, blob).await?;
                }
                let (reference, media_type) =
                    (reference(repository, tag), MediaType::ImageManifest);
                let pushed = client.push_manifest(&reference, &media_type, &manifest);
                pushed.await.map(drop)
            }
            Self::Directory(path) => {
                let path = path.join(tag);
                blocking(move || write_layout(&path, &blobs, &manifest)).await
            }
        }
    }

    /// Writes a blob that says nothing where an entry will be.
    pub(super) async fn try_out(&self, tag: &str) -> Result<(), Error> {
        let blob = Blob::of_bytes(EMPTY.0, EMPTY.1);
        match self {
            Self::Registry { client, repository } => {
                push_blob(client, repository, blob).await.map(drop)
            }
            Self::Directory(path) => {
                let path = path.join(tag);
                blocking(move || write_blobs(&path, &[blob]).map(drop)).await
            }
        }
    }

    /// Brings a blob of one entry to where another one will be. In a repository it is there already.
    pub(super) async fn share(
        &self,
        tag: &str,
        source: &BlobPlace,
        descriptor: &Descriptor,
    ) -> Result<(), Error> {
        match (self, source) {
            (Self::Directory(path), BlobPlace::Layout(from)) => {
                let (path, from) = (path.join(tag), from.clone());
                let descriptor = descriptor.clone();
                blocking(move || {
                    let layout = OciLayout::create(&path)?;
                    layout.discard_broken(&descriptor)?;
                    layout.share_blob(&from, &descriptor)
                })
                .await
            }
            (Self::Registry { .. }, _) | (Self::Directory(_), BlobPlace::Repository(_)) => Ok(()),
        }
    }

    /// Fetches a blob into a spool in `work`, verified to its last byte.
    pub(super) async fn blob(
        &self,
        place: &BlobPlace,
        descriptor: &Descriptor,
        work: &Path,
    ) -> Result<Spool, Arc<Error>> {
        let (mut writer, spool) = Spool::create(work)?;
        match (self, place) {
            (Self::Registry { client, .. }, BlobPlace::Repository(repository)) => {
                client.fetch_blob(repository, descriptor, writer).await?;
            }
            (_, BlobPlace::Layout(layout)) => {
                let (layout, descriptor) = (layout.clone(), descriptor.clone());
                blocking(move || {
                    let mut blob = layout.open_blob(&descriptor)?;
                    let put = |source| Error::PutBlob {
                        path: PathBuf::from("spool"),
                        digest: descriptor.digest,
                        source,
                    };
                    std::io::copy(&mut blob, &mut writer).map_err(put)?;
                    writer.finish(descriptor.digest, descriptor.size)
                })
                .await?;
            }
            (Self::Directory(path), BlobPlace::Repository(_)) => {
                return Err(Arc::new(Error::Layout {
                    path: path.clone(),
                    what: "a hit of another cache".to_owned(),
                }));
            }
        }
        Ok(spool)
    }
}

fn reference(repository: &Repository, tag: &str) -> Reference {
    Reference::with_tag(
        repository.registry().authority().to_owned(),
        repository.name().to_owned(),
        tag.to_owned(),
    )
}

async fn push_blob(
    client: &Client,
    repository: &Repository,
    blob: Blob,
) -> Result<PushOutcome, Error> {
    let source = BlobSource {
        spool: blob.spool,
        mount_from: blob.near,
    };
    client.push_blob(repository, &source).await
}

fn read_manifest(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    if !path.is_dir() {
        return Ok(None);
    }
    OciLayout::open(path)?.manifest_bytes()
}

/// All of it by rename, and the name of the manifest last. Blobs of an older entry stay: somebody may be reading them.
fn write_layout(path: &Path, blobs: &[Blob], manifest: &[u8]) -> Result<(), Error> {
    let layout = write_blobs(path, blobs)?;
    let media_type = MediaType::from(media::OCI_MANIFEST);
    let descriptor = layout.put_bytes(media_type, manifest)?;
    layout.finish(descriptor)
}

fn write_blobs(path: &Path, blobs: &[Blob]) -> Result<OciLayout, Error> {
    let layout = OciLayout::create(path)?;
    for blob in blobs {
        // One of that size would be taken for the right one.
        layout.discard_broken(&blob.descriptor)?;
        layout.put_blob(&blob.descriptor, &mut blob.spool.reader())?;
    }
    Ok(layout)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Layout {
            path: PathBuf::new(),
            what: error.to_string(),
        }),
    }
}
