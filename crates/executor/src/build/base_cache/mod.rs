//! Base images beside the build: `DIRECTORY/sha256:DIGEST/` is an OCI layout of the manifest with that digest (kaniko-contract §5, K-WARM-03).
//!
//! Nothing there is believed: every blob is verified, and what is not right is as if it was not there (K-WARM-04).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kigumi_oci::{Descriptor, Digest, Document};
use kigumi_registry::{Error, OciLayout, SpoolWriter};

use crate::cache::BESIDE;
use crate::cli::BaseCacheSettings;
use crate::error::chain;

/// How often the place of an entry is made free: each time another warmer was faster.
const ATTEMPTS: usize = 16;

/// A directory of base images.
#[derive(Debug, Clone)]
pub(crate) struct BaseCache {
    directory: PathBuf,
    ttl: Duration,
}

/// What there is for an image.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Nothing.
    None,
    /// One that is too old.
    Old,
    /// Something that is no entry.
    Broken(String),
    /// A layout, whose blobs were not looked at.
    Layout(OciLayout),
}

impl BaseCache {
    pub(crate) fn new(settings: &BaseCacheSettings) -> Self {
        Self::at(settings.directory.clone(), settings.ttl)
    }

    /// Entries older than `ttl` are of no use.
    pub(crate) const fn at(directory: PathBuf, ttl: Duration) -> Self {
        Self { directory, ttl }
    }

    /// Where the entries are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the entry of an image is.
    pub(crate) fn place(&self, manifest: Digest) -> PathBuf {
        self.directory.join(manifest.to_string())
    }

    /// Where the outlines of its layers are: an entry of the kind that the layer cache has for each.
    pub(crate) fn outlines(&self, manifest: Digest) -> PathBuf {
        self.place(manifest).join(BESIDE)
    }

    /// What there is for an image. An entry is as old as its `index.json`, which the warmer writes last.
    pub(crate) fn entry(&self, manifest: Digest) -> Entry {
        let place = self.place(manifest);
        let written = fs::metadata(place.join("index.json")).and_then(|meta| meta.modified());
        let written = match written {
            Ok(written) => written,
            Err(_) if !place.exists() => return Entry::None,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Entry::Broken("it is a file, as older warmers made it".to_owned());
            }
            Err(error) => return Entry::Broken(format!("look at `index.json`: {error}")),
        };
        // A time to come is no age.
        let age = SystemTime::now().duration_since(written);
        if age.unwrap_or_default() > self.ttl {
            return Entry::Old;
        }
        match OciLayout::open(&place) {
            Ok(layout) => Entry::Layout(layout),
            Err(error) => Entry::Broken(chain(&error)),
        }
    }

    /// The layout that a build takes the layers of an image from; none where they have to be fetched.
    pub(crate) fn layout(&self, manifest: Digest) -> Option<OciLayout> {
        let place = self.place(manifest);
        match self.entry(manifest) {
            Entry::Layout(layout) => return Some(layout),
            Entry::None => {}
            Entry::Old => tracing::debug!("`{}` is older than --cache-ttl", place.display()),
            Entry::Broken(why) => tracing::warn!("`{}` is not used: {why}", place.display()),
        }
        None
    }

    /// Gives a complete layout its name, in one step: a reader sees none, another whole one, or this one.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(crate) fn publish(&self, layout: tempfile::TempDir, manifest: Digest) -> io::Result<()> {
        let place = self.place(manifest);
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match rename(layout.path(), &place) {
                Ok(()) => {
                    // It has another name now, and is not removed.
                    drop(layout.keep());
                    return Ok(());
                }
                Err(error) if is_taken(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
            self.remove(&place)?;
        }
        Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists)))
    }

    /// A new directory for an entry; other programs do not take it for one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn draft(&self) -> io::Result<tempfile::TempDir> {
        use std::os::unix::fs::PermissionsExt as _;
        fs::create_dir_all(&self.directory)?;
        tempfile::Builder::new()
            .prefix(".kigumi-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&self.directory)
    }

    /// Removes an entry in one step: half an entry is never seen.
    fn remove(&self, place: &Path) -> io::Result<()> {
        let aside = self.draft()?;
        match rename(place, &aside.path().join("old")) {
            // Another warmer was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "both names are in a directory of the cache, which is no root filesystem"
)]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(
        error.kind(),
        AlreadyExists | DirectoryNotEmpty | NotADirectory
    )
}

/// Whether a layout is that of the manifest, to the last byte of its last layer.
///
/// # Errors
/// What is wrong.
pub(crate) fn verify(layout: &OciLayout, manifest: Digest) -> Result<(), String> {
    let said = |error: Error| chain(&error);
    let top = layout.only().map_err(said)?;
    if top.digest != manifest {
        return Err(format!("it is of {}", top.digest));
    }
    let Document::Manifest(manifest) = layout.document(&top).map_err(said)? else {
        return Err("it is an index".to_owned());
    };
    let manifest = manifest.value();
    for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
        read(layout, blob)?;
    }
    Ok(())
}

/// Reads a blob to its end, which fails unless it is what the descriptor promises.
fn read(layout: &OciLayout, blob: &Descriptor) -> Result<(), String> {
    let mut bytes = layout.open_blob(blob).map_err(|error| chain(&error))?;
    match io::copy(&mut bytes, &mut io::sink()) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("blob {}: {}", blob.digest, chain(&error))),
    }
}

/// Copies a blob of an entry; gives the writer back, with nothing written, where the blob has to be fetched.
///
/// It is read twice: what was written is seen at once, and cannot be taken back.
pub(crate) fn copy(
    layout: &OciLayout,
    blob: &Descriptor,
    mut writer: SpoolWriter,
) -> Option<SpoolWriter> {
    if let Err(why) = read(layout, blob) {
        tracing::warn!("a base image of --cache-dir is not used: {why}");
        return Some(writer);
    }
    let mut bytes = match layout.open_blob(blob) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!("a base image of --cache-dir is not used: {}", chain(&error));
            return Some(writer);
        }
    };
    match io::copy(&mut bytes, &mut writer) {
        // Whoever reads the spool gets the error.
        Ok(_) => drop(writer.finish(blob.digest, blob.size)),
        // It was changed between the two.
        Err(error) => writer.fail(Arc::new(error)),
    }
    None
}

#[cfg(test)]
mod tests;
