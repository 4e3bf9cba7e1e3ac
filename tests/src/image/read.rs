//! Reading an image: every byte of every layer passes here once, gigabytes included.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Descriptor, Document, Entry, Image, Kind, Layer};
use crate::Registry;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Where manifests and blobs come from.
enum Source<'a> {
    Registry {
        registry: &'a Registry,
        repository: &'a str,
    },
    Layout(PathBuf),
}

impl Image {
    /// Reads `repository:tag` or `repository@digest`; of an index, the linux/amd64 image.
    pub fn pull(registry: &Registry, name: &str) -> Result<Self> {
        let (repository, reference) = split_name(name)?;
        let source = Source::Registry {
            registry,
            repository,
        };
        let (media_type, bytes) = registry.manifest(repository, reference)?;
        Self::read(&source, name, media_type, bytes)
    }

    /// Reads the only image of an OCI layout directory; of an index, the linux/amd64 image.
    pub fn from_layout(directory: &Path) -> Result<Self> {
        let (source, name, bytes) = open_layout(directory)?;
        Self::read(&source, &name, OCI_INDEX.to_owned(), bytes)
    }

    /// Reads the images of the only index in an OCI layout directory, by platform.
    pub fn all_from_layout(directory: &Path) -> Result<BTreeMap<String, Self>> {
        let (source, name, bytes) = open_layout(directory)?;
        let outer: Value = serde_json::from_slice(&bytes).context("parse `index.json`")?;
        let entry = outer.pointer("/manifests/0").context("an empty layout")?;
        let entry = descriptor(entry)?;
        let bytes = source.manifest(&entry)?;
        ensure!(digest_of(&bytes) == entry.digest, "{name}: the index");
        let index: Value = serde_json::from_slice(&bytes).context("parse the index")?;
        let manifests = index.get("manifests").and_then(Value::as_array);
        let manifests = manifests.context("the only entry is no index")?;
        let mut images = BTreeMap::new();
        for manifest in manifests {
            let platform = platform(manifest).context("a manifest without platform")?;
            let wanted = descriptor(manifest)?;
            let bytes = source.manifest(&wanted)?;
            ensure!(digest_of(&bytes) == wanted.digest, "{name}: {platform}");
            let image = Self::read(&source, &name, wanted.media_type, bytes)?;
            let double = images.insert(platform.clone(), image);
            ensure!(double.is_none(), "{platform} twice");
        }
        Ok(images)
    }

    fn read(source: &Source<'_>, name: &str, media_type: String, bytes: Vec<u8>) -> Result<Self> {
        let expected = Descriptor {
            media_type,
            digest: digest_of(&bytes),
            size: bytes.len() as u64,
        };
        let manifest = Document::new(expected, bytes).with_context(|| name.to_owned())?;
        if let Some(manifests) = manifest.value.get("manifests").and_then(Value::as_array) {
            let wanted = choose(manifests).with_context(|| format!("choose from {name}"))?;
            let bytes = source.manifest(&wanted)?;
            ensure!(
                digest_of(&bytes) == wanted.digest,
                "{name}: index names another digest"
            );
            return Self::read(source, name, wanted.media_type, bytes);
        }
        let config = descriptor(
            manifest
                .value
                .get("config")
                .context("manifest without config")?,
        )?;
        let mut bytes = Vec::new();
        source
            .blob(&config.digest)?
            .read_to_end(&mut bytes)
            .context("read the config")?;
        let config = Document::new(config, bytes)?;
        let layers = manifest.value.get("layers").and_then(Value::as_array);
        let layers = layers
            .context("manifest without layers")?
            .iter()
            .map(|value| {
                let descriptor = descriptor(value)?;
                let blob = source.blob(&descriptor.digest)?;
                let subject = format!("{name}: layer {}", descriptor.digest);
                read_layer(descriptor, blob).with_context(|| subject)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            name: name.to_owned(),
            manifest,
            config,
            layers,
        })
    }
}

impl Document {
    fn new(expected: Descriptor, bytes: Vec<u8>) -> Result<Self> {
        let value = serde_json::from_slice(&bytes).context("parse JSON")?;
        Ok(Self {
            expected,
            bytes,
            value,
        })
    }
}

impl Source<'_> {
    fn manifest(&self, wanted: &Descriptor) -> Result<Vec<u8>> {
        match self {
            Self::Registry {
                registry,
                repository,
            } => Ok(registry.manifest(repository, &wanted.digest)?.1),
            Self::Layout(_) => {
                let mut bytes = Vec::new();
                self.blob(&wanted.digest)?.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }

    fn blob(&self, digest: &str) -> Result<Box<dyn Read>> {
        match self {
            Self::Registry {
                registry,
                repository,
            } => registry.blob(repository, digest),
            Self::Layout(directory) => {
                let path = directory.join("blobs").join(digest.replace(':', "/"));
                let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
                Ok(Box::new(file))
            }
        }
    }
}

fn open_layout(directory: &Path) -> Result<(Source<'static>, String, Vec<u8>)> {
    let name = directory.display().to_string();
    let marker = fs::read(directory.join("oci-layout")).context("read `oci-layout`")?;
    let marker: Value = serde_json::from_slice(&marker).context("parse `oci-layout`")?;
    ensure!(
        marker.get("imageLayoutVersion") == Some(&Value::from("1.0.0")),
        "layout version"
    );
    let bytes = fs::read(directory.join("index.json")).context("read `index.json`")?;
    Ok((Source::Layout(directory.to_owned()), name, bytes))
}

/// `os/architecture[/variant]` of an entry of an index.
fn platform(manifest: &Value) -> Option<String> {
    let text = |name: &str| manifest.get("platform")?.get(name)?.as_str();
    let words = [text("os")?, text("architecture")?];
    let words: Vec<&str> = words.into_iter().chain(text("variant")).collect();
    Some(words.join("/"))
}

/// `repository` and `tag` or digest.
pub(crate) fn split_name(name: &str) -> Result<(&str, &str)> {
    name.split_once('@')
        .or_else(|| name.rsplit_once(':'))
        .with_context(|| format!("`{name}` has neither tag nor digest"))
}

/// `sha256:<hex>` of these bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn choose(manifests: &[Value]) -> Result<Descriptor> {
    let text = |value: &Value, pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    if let [only] = manifests {
        return descriptor(only);
    }
    let found = manifests.iter().find(|value| {
        text(value, "/platform/os").as_deref() == Some("linux")
            && text(value, "/platform/architecture").as_deref() == Some("amd64")
    });
    descriptor(found.context("no linux/amd64 in the index")?)
}

fn descriptor(value: &Value) -> Result<Descriptor> {
    let text = |name: &str| {
        let found = value.get(name).and_then(Value::as_str).map(str::to_owned);
        found.with_context(|| format!("descriptor without {name}: {value}"))
    };
    Ok(Descriptor {
        media_type: text("mediaType")?,
        digest: text("digest")?,
        size: value
            .get("size")
            .and_then(Value::as_u64)
            .context("descriptor without size")?,
    })
}

fn read_layer(descriptor: Descriptor, blob: Box<dyn Read>) -> Result<Layer> {
    let mut stored = BufReader::with_capacity(1 << 16, Hashing::new(blob));
    let start = stored.fill_buf().context("read the blob")?;
    let compression = match start {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        _ => "none",
    };
    let content: Box<dyn Read + '_> = match compression {
        "gzip" => Box::new(flate2::bufread::MultiGzDecoder::new(&mut stored)),
        "zstd" => Box::new(zstd::Decoder::with_buffer(&mut stored)?),
        _ => Box::new(&mut stored),
    };
    let mut archive = tar::Archive::new(Hashing::new(content));
    let mut entries = Vec::new();
    for entry in archive.entries().context("read the archive")? {
        let entry = entry.context("read an entry")?;
        entries.push(read_entry(entry)?);
    }
    let mut content = archive.into_inner();
    let trailing_garbage = drain_is_dirty(&mut content).context("read the end of the archive")?;
    let (diff_id, _) = content.finish();
    io::copy(&mut stored, &mut io::sink()).context("read the end of the blob")?;
    let (digest, size) = stored.into_inner().finish();
    Ok(Layer {
        descriptor,
        digest,
        size,
        diff_id,
        compression,
        entries,
        trailing_garbage,
    })
}

fn read_entry<R: Read>(mut entry: tar::Entry<'_, R>) -> Result<Entry> {
    let name = escaped(&entry.path_bytes());
    let subject = || format!("entry `{name}`");
    let link = entry.link_name_bytes().map(|bytes| escaped(&bytes));
    let mut xattrs = BTreeMap::new();
    if let Some(extensions) = entry.pax_extensions().with_context(subject)? {
        for extension in extensions {
            let extension = extension.with_context(subject)?;
            let key = String::from_utf8_lossy(extension.key_bytes());
            if let Some(attribute) = key.strip_prefix("SCHILY.xattr.") {
                xattrs.insert(attribute.to_owned(), extension.value_bytes().to_vec());
            }
        }
    }
    let header = entry.header();
    let kind = kind_of(header.entry_type());
    let has_device = matches!(kind, Kind::Character | Kind::Block);
    let device = if has_device {
        header
            .device_major()
            .with_context(subject)?
            .zip(header.device_minor()?)
    } else {
        None
    };
    let mode = header.mode().with_context(subject)? & 0o7777;
    let mtime = i64::try_from(header.mtime().with_context(subject)?).unwrap_or(i64::MAX);
    let (uid, gid) = (
        header.uid().with_context(subject)?,
        header.gid().with_context(subject)?,
    );
    let size = if kind == Kind::File { entry.size() } else { 0 };
    let sha256 = if kind == Kind::File {
        let mut content = Hashing::new(&mut entry);
        let read = io::copy(&mut content, &mut io::sink()).with_context(subject)?;
        if read != size {
            bail!("entry `{name}` is cut short");
        }
        Some(content.finish().0)
    } else {
        None
    };
    Ok(Entry {
        name,
        kind,
        mode,
        uid,
        gid,
        size,
        mtime,
        sha256,
        link,
        xattrs,
        device,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the crate's enum will grow; what is not known here is `Other`"
)]
fn kind_of(kind: tar::EntryType) -> Kind {
    match kind {
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
            Kind::File
        }
        tar::EntryType::Directory => Kind::Directory,
        tar::EntryType::Symlink => Kind::Symlink,
        tar::EntryType::Link => Kind::HardLink,
        tar::EntryType::Char => Kind::Character,
        tar::EntryType::Block => Kind::Block,
        tar::EntryType::Fifo => Kind::Fifo,
        _ => Kind::Other,
    }
}

/// Bytes as text; what is not UTF-8 is escaped so that different names stay different.
fn escaped(bytes: &[u8]) -> String {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(_) => bytes.escape_ascii().to_string(),
    }
}

fn drain_is_dirty(content: &mut impl Read) -> io::Result<bool> {
    let mut buffer = [0_u8; 4096];
    let mut dirty = false;
    loop {
        let count = content.read(&mut buffer)?;
        if count == 0 {
            return Ok(dirty);
        }
        dirty |= buffer.iter().take(count).any(|byte| *byte != 0);
    }
}

/// Counts and hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    count: u64,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            count: 0,
        }
    }

    fn finish(self) -> (String, u64) {
        (
            format!("sha256:{}", hex::encode(self.hasher.finalize())),
            self.count,
        )
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let (read, _) = buffer.split_at(count);
        self.hasher.update(read);
        self.count += count as u64;
        Ok(count)
    }
}
