//! OCI image layouts: directories with the blobs of an image. image-spec v1.1 image-layout.md.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kigumi_oci::{
    Descriptor, Digest, Document, ImageConfig, Index, Manifest, MediaType, Platform, Raw, Verified,
};
use tempfile::NamedTempFile;

use crate::client::{Walk, check_config_type, check_layers, describe};
use crate::{Error, limits};

/// The file that says that a directory is a layout, and of which version.
const MARKER: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
const INDEX: &str = "index.json";

/// An image in a layout: everything about it but its layers.
#[derive(Clone, Debug)]
pub struct LayoutImage {
    /// The digest of the index that `index.json` names, when it names one.
    pub index_digest: Option<Digest>,
    /// The manifest.
    pub manifest: Raw<Manifest>,
    /// Its config.
    pub config: Raw<ImageConfig>,
    /// The descriptor of the manifest.
    pub descriptor: Descriptor,
}

/// Which image of a layout is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LayoutName {
    /// The one image there is, or the one for the platform.
    Only,
    /// The one that `index.json` names so: image-spec v1.1 annotations.md, `org.opencontainers.image.ref.name`.
    Tag(String),
    /// The one whose manifest or index has this digest.
    Digest(Digest),
}

/// The annotation that names an entry of `index.json`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A layout on disk.
#[derive(Clone, Debug)]
pub struct OciLayout {
    path: PathBuf,
}

impl OciLayout {
    /// Makes `path` a layout, or takes the one that is there. What `index.json` names stays until [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`Error::File`] when the directories cannot be made.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let layout = Self {
            path: path.to_owned(),
        };
        let blobs = layout.blobs();
        fs::create_dir_all(&blobs).map_err(|source| file_error("create", &blobs, source))?;
        layout.put_file(MARKER.0, MARKER.1)?;
        Ok(layout)
    }

    /// Opens a layout that is there.
    ///
    /// # Errors
    /// [`Error::Layout`] when it is none.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let layout = Self {
            path: path.to_owned(),
        };
        let marker = layout.read_file(MARKER.0, limits::JSON)?;
        let marker: serde_json::Value = serde_json::from_slice(&marker).unwrap_or_default();
        match marker.get("imageLayoutVersion").and_then(|v| v.as_str()) {
            Some("1.0.0") => Ok(layout),
            _ => Err(layout.error("it is not of version 1.0.0")),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores a blob, verified. One that is there already is left alone, its bytes are not read from `bytes` then.
    ///
    /// # Errors
    /// [`Error::PutBlob`] when the bytes are not those promised.
    pub fn put_blob(&self, descriptor: &Descriptor, bytes: &mut dyn Read) -> Result<(), Error> {
        let target = self.blob_path(descriptor.digest);
        if fs::metadata(&target).is_ok_and(|meta| meta.is_file() && meta.len() == descriptor.size) {
            return Ok(());
        }
        let put = |source| Error::PutBlob {
            path: self.path.clone(),
            digest: descriptor.digest,
            source,
        };
        let mut file = temporary(&self.blobs()).map_err(put)?;
        io::copy(&mut Verified::new(bytes, descriptor), &mut file).map_err(put)?;
        file.persist(&target)
            .map(drop)
            .map_err(|error| put(error.error))
    }

    /// Stores a blob that another layout has: as one more name of the same bytes where the disk can do that, else as a copy.
    ///
    /// # Errors
    /// [`Error::File`] when it is not there, [`Error::PutBlob`] when a copy would not be what is promised.
    pub fn share_blob(&self, from: &Self, descriptor: &Descriptor) -> Result<(), Error> {
        let bytes = from.blob_path(descriptor.digest);
        if fs::hard_link(bytes, self.blob_path(descriptor.digest)).is_ok() {
            return Ok(());
        }
        self.put_blob(descriptor, &mut from.open_blob(descriptor)?)
    }

    /// Takes a blob away that is not what is promised, so that [`put_blob`](Self::put_blob) stores the right one. It is read for that.
    ///
    /// # Errors
    /// [`Error::File`] when it is broken and cannot be removed.
    pub fn discard_broken(&self, descriptor: &Descriptor) -> Result<(), Error> {
        let is_right = |mut bytes: Verified<File>| io::copy(&mut bytes, &mut io::sink()).is_ok();
        if self.open_blob(descriptor).map_or(true, is_right) {
            return Ok(());
        }
        let path = self.blob_path(descriptor.digest);
        fs::remove_file(&path).map_err(|source| file_error("remove", &path, source))
    }

    /// Stores bytes at hand.
    ///
    /// # Errors
    /// As [`put_blob`](Self::put_blob).
    pub fn put_bytes(&self, media_type: MediaType, bytes: &[u8]) -> Result<Descriptor, Error> {
        let descriptor = Descriptor::of(media_type, bytes);
        self.put_blob(&descriptor, &mut io::Cursor::new(bytes))?;
        Ok(descriptor)
    }

    /// Makes `manifest` the one image of the layout (K-OUT-08). The index is replaced in one step: a reader sees the old one or
    /// the new one.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written.
    pub fn finish(&self, manifest: Descriptor) -> Result<(), Error> {
        let index = Index {
            schema_version: 2,
            media_type: Some(MediaType::ImageIndex),
            manifests: vec![manifest],
            annotations: std::collections::BTreeMap::new(),
        };
        let index = Raw::write("index", index).map_err(|source| self.content(source))?;
        self.put_file(INDEX, index.bytes())
    }

    /// The image of `platform`.
    ///
    /// # Errors
    /// As for a registry: digests, sizes and limits are the same. [`Error::Layout`] when there is none of this name.
    pub fn resolve(&self, name: &LayoutName, platform: &Platform) -> Result<LayoutImage, Error> {
        let subject = format!("layout `{}`", self.path.display());
        let mut walk = Walk::new(subject.clone());
        let start = match name {
            LayoutName::Digest(digest) => self.blob_of_digest(*digest)?,
            LayoutName::Tag(tag) => self.entry(&mut walk, &self.named(tag)?, platform)?,
            LayoutName::Only => self.entry(&mut walk, &self.index()?, platform)?,
        };
        let (manifest, descriptor) = self.walk(&mut walk, start, platform)?;
        let index_digest = walk.root();
        let config = &manifest.value().config;
        check_config_type(&subject, config)?;
        let config = self.read_blob(config, limits::JSON)?;
        let config = Raw::parse("image config", config).map_err(|source| self.content(source))?;
        check_layers(&subject, manifest.value(), config.value())?;
        Ok(LayoutImage {
            index_digest,
            manifest,
            config,
            descriptor,
        })
    }

    /// The one manifest or index that the layout is of.
    ///
    /// # Errors
    /// [`Error::Layout`] when `index.json` names none, or several.
    pub fn only(&self) -> Result<Descriptor, Error> {
        match self.index()?.value().manifests.as_slice() {
            [entry] => Ok(entry.clone()),
            [] => Err(self.error("it has no image")),
            entries => Err(self.error(&format!(
                "it has {} images, and one is expected",
                entries.len()
            ))),
        }
    }

    /// A manifest or an index.
    ///
    /// # Errors
    /// [`Error::File`] when it is not there, [`Error::LayoutContent`] when it is neither.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Document, Error> {
        let bytes = self.read_blob(descriptor, limits::MANIFEST)?;
        let media_type = descriptor.media_type.to_string();
        Document::parse(Some(media_type.as_str()), bytes).map_err(|source| self.content(source))
    }

    /// The bytes of the one manifest that there is, whatever they are; `None` while [`finish`](Self::finish) has not named one.
    ///
    /// # Errors
    /// [`Error::Layout`] when there are several, or other bytes than `index.json` promises.
    pub fn manifest_bytes(&self) -> Result<Option<Vec<u8>>, Error> {
        match fs::symlink_metadata(self.path.join(INDEX)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(_) | Err(_) => {}
        }
        match self.index()?.value().manifests.as_slice() {
            [entry] => self.read_blob(entry, limits::MANIFEST).map(Some),
            _ => Err(self.error("it does not have one manifest")),
        }
    }

    /// A whole blob in memory, verified; larger ones than `limit` are refused.
    ///
    /// # Errors
    /// [`Error::File`] when it is not there, or is not what `descriptor` promises.
    pub fn blob_bytes(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
        self.read_blob(descriptor, limit)
    }

    fn index(&self) -> Result<Raw<Index>, Error> {
        let index = self.read_file(INDEX, limits::MANIFEST)?;
        Raw::parse("index", index).map_err(|source| self.content(source))
    }

    /// What `index.json` calls `tag`: alone, or behind the name of a repository.
    fn named(&self, tag: &str) -> Result<Raw<Index>, Error> {
        let mut index = self.index()?.value().clone();
        let name = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
        let known: Vec<String> = index.manifests.iter().filter_map(name).collect();
        let is_named = |full: &str| {
            full == tag
                || full
                    .strip_suffix(tag)
                    .is_some_and(|rest| rest.ends_with(':'))
        };
        index
            .manifests
            .retain(|entry| name(entry).is_some_and(|full| is_named(&full)));
        if index.manifests.is_empty() {
            let known = if known.is_empty() {
                "it names none".to_owned()
            } else {
                format!("it names {}", known.join(", "))
            };
            return Err(self.error(&format!("no image is called `{tag}`; {known}")));
        }
        Raw::write("index", index).map_err(|source| self.content(source))
    }

    fn entry(
        &self,
        walk: &mut Walk,
        index: &Raw<Index>,
        platform: &Platform,
    ) -> Result<Descriptor, Error> {
        match index.value().manifests.as_slice() {
            [] => Err(self.error("it has no image")),
            // The one entry may be an index of platforms itself.
            [entry] => Ok(entry.clone()),
            _ => walk.step(index, platform),
        }
    }

    /// A manifest or index that is known by its digest alone; what it is its own bytes say.
    fn blob_of_digest(&self, digest: Digest) -> Result<Descriptor, Error> {
        let path = self.blob_path(digest);
        let metadata = fs::metadata(&path).map_err(|source| file_error("open", &path, source))?;
        let any = MediaType::Other(String::new());
        Ok(Descriptor::new(any, digest, metadata.len()))
    }

    fn walk(
        &self,
        walk: &mut Walk,
        start: Descriptor,
        platform: &Platform,
    ) -> Result<(Raw<Manifest>, Descriptor), Error> {
        let mut descriptor = start;
        loop {
            let bytes = self.read_blob(&descriptor, limits::MANIFEST)?;
            let media_type = descriptor.media_type.to_string();
            let media_type = Some(media_type.as_str()).filter(|text| !text.is_empty());
            let document = Document::parse(media_type, bytes);
            match document.map_err(|source| self.content(source))? {
                Document::Manifest(manifest) => {
                    let descriptor = describe(&manifest);
                    return Ok((*manifest, descriptor));
                }
                Document::Index(index) => descriptor = walk.step(&index, platform)?,
            }
        }
    }

    /// The bytes of a blob, which fail at their end unless digest and size are right.
    ///
    /// # Errors
    /// [`Error::File`] when it is not there.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<Verified<File>, Error> {
        let path = self.blob_path(descriptor.digest);
        let file = File::open(&path).map_err(|source| file_error("open", &path, source))?;
        Ok(Verified::new(file, descriptor))
    }

    fn read_blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
        let path = self.blob_path(descriptor.digest);
        if descriptor.size > limit {
            let what = format!("blob {} is larger than {limit} bytes", descriptor.digest);
            return Err(self.error(&what));
        }
        let mut bytes = Vec::new();
        self.open_blob(descriptor)?
            .read_to_end(&mut bytes)
            .map_err(|source| file_error("read", &path, source))?;
        Ok(bytes)
    }

    fn read_file(&self, name: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
            .map_err(|source| file_error("read", &path, source))?;
        if bytes.len() as u64 > limit {
            return Err(self.error(&format!("`{name}` is larger than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn put_file(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let target = self.path.join(name);
        let write = |source| file_error("write", &target, source);
        let mut file = temporary(&self.path).map_err(write)?;
        file.write_all(bytes).map_err(write)?;
        // Without this a crash could leave the new name on an empty file.
        file.as_file().sync_all().map_err(write)?;
        file.persist(&target)
            .map(drop)
            .map_err(|error| write(error.error))
    }

    fn blobs(&self) -> PathBuf {
        self.path.join("blobs").join("sha256")
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    fn error(&self, what: &str) -> Error {
        Error::Layout {
            path: self.path.clone(),
            what: what.to_owned(),
        }
    }

    fn content(&self, source: kigumi_oci::Error) -> Error {
        Error::LayoutContent {
            path: self.path.clone(),
            source,
        }
    }
}

/// A file that has its name only when it is complete. Readable by others: the next step of a pipeline often runs as another
/// user.
pub(crate) fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".kigumi-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(directory)
}

pub(crate) fn file_error(what: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File {
        what,
        path: path.to_owned(),
        source,
    }
}
