//! Images made in code, correct ones and others.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::Descriptor;
use super::read::{digest_of, split_name};
use crate::{Lab, Registry};

/// The two sets of media types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `application/vnd.oci.…`
    Oci,
    /// `application/vnd.docker.…`
    Docker,
}

/// How a layer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Uncompressed.
    Tar,
    /// gzip, level 1: the lab reads these once and throws them away.
    Gzip,
    /// zstd.
    Zstd,
}

impl Family {
    fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    fn index(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.index.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    fn layer(self, packing: Packing) -> &'static str {
        match (self, packing) {
            (Self::Oci, Packing::Tar) => "application/vnd.oci.image.layer.v1.tar",
            (Self::Oci, Packing::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (Self::Oci, Packing::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
            (Self::Docker, Packing::Tar) => "application/vnd.docker.image.rootfs.diff.tar",
            (Self::Docker, Packing::Gzip) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            (Self::Docker, Packing::Zstd) => "application/vnd.docker.image.rootfs.diff.tar.zstd",
        }
    }
}

/// An archive written entry by entry, in the order of the calls.
///
/// Names go into the archive as given: absolute ones, `..` and duplicates are the caller's wish.
#[derive(Debug, Default)]
pub struct LayerBuilder {
    archive: Vec<u8>,
    owner: (u64, u64),
    xattrs: Vec<(String, Vec<u8>)>,
    modes: BTreeMap<String, u32>,
}

impl LayerBuilder {
    /// An empty layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A layer with a static busybox as `/bin/busybox` and `/bin/sh`: enough for a RUN.
    pub fn with_shell(lab: &Lab) -> Result<Self> {
        let program = lab.busybox_program()?;
        let content = std::fs::read(&program).with_context(|| program.display().to_string())?;
        Self::new()
            .dir("bin", 0o755)?
            .file("bin/busybox", 0o755, content)?
            .hard_link("bin/sh", "bin/busybox")
    }

    /// Owner of the entries that follow.
    #[must_use]
    pub fn owned_by(mut self, uid: u64, gid: u64) -> Self {
        self.owner = (uid, gid);
        self
    }

    /// An extended attribute of the next entry.
    #[must_use]
    pub fn xattr(mut self, name: &str, value: &[u8]) -> Self {
        self.xattrs.push((name.to_owned(), value.to_vec()));
        self
    }

    /// A directory.
    pub fn dir(self, name: &str, mode: u32) -> Result<Self> {
        self.entry(name, tar::EntryType::Directory, mode, None, b"")
    }

    /// A regular file.
    pub fn file(self, name: &str, mode: u32, content: impl AsRef<[u8]>) -> Result<Self> {
        self.entry(name, tar::EntryType::Regular, mode, None, content.as_ref())
    }

    /// A symbolic link.
    pub fn symlink(self, name: &str, target: &str) -> Result<Self> {
        self.entry(name, tar::EntryType::Symlink, 0o777, Some(target), b"")
    }

    /// A second name of an earlier entry, with its mode: some unpackers apply the mode of a link.
    pub fn hard_link(self, name: &str, target: &str) -> Result<Self> {
        let mode = self.modes.get(target).copied().unwrap_or(0o644);
        self.entry(name, tar::EntryType::Link, mode, Some(target), b"")
    }

    /// A named pipe.
    pub fn fifo(self, name: &str, mode: u32) -> Result<Self> {
        self.entry(name, tar::EntryType::Fifo, mode, None, b"")
    }

    /// A character device.
    pub fn device(mut self, name: &str, mode: u32, major: u32, minor: u32) -> Result<Self> {
        let mut header = self.header(tar::EntryType::Char, mode, 0);
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
        self.append(name, header, None, b"")?;
        Ok(self)
    }

    /// The mark that deletes `name` of the layers below.
    pub fn whiteout(self, name: &str) -> Result<Self> {
        let mark = match name.rsplit_once('/') {
            Some((parent, base)) => format!("{parent}/.wh.{base}"),
            None => format!(".wh.{name}"),
        };
        self.file(&mark, 0o644, b"")
    }

    /// The mark that hides all that the layers below have in a directory.
    pub fn opaque(self, directory: &str) -> Result<Self> {
        self.file(&format!("{directory}/.wh..wh..opq"), 0o644, b"")
    }

    fn entry(
        mut self,
        name: &str,
        kind: tar::EntryType,
        mode: u32,
        link: Option<&str>,
        content: &[u8],
    ) -> Result<Self> {
        let header = self.header(kind, mode, content.len() as u64);
        self.modes.insert(name.to_owned(), mode);
        self.append(name, header, link, content)?;
        Ok(self)
    }

    fn header(&self, kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
        // A fixed time in the past: image bytes must not depend on when a test ran.
        const MTIME: u64 = 1_600_000_000;
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_size(size);
        header.set_mtime(MTIME);
        header
    }

    fn append(
        &mut self,
        name: &str,
        mut header: tar::Header,
        link: Option<&str>,
        content: &[u8],
    ) -> Result<()> {
        let mut extensions: Vec<(String, Vec<u8>)> = self
            .xattrs
            .drain(..)
            .map(|(key, value)| (format!("SCHILY.xattr.{key}"), value))
            .collect();
        // PAX records carry what does not fit, and names that the crate's setters would refuse.
        let mut place = |field: &mut [u8], text: &str, key: &str| {
            if text.len() > field.len() {
                extensions.push((key.to_owned(), text.as_bytes().to_vec()));
            }
            for (slot, byte) in field.iter_mut().zip(text.bytes()) {
                *slot = byte;
            }
        };
        let ustar = header.as_ustar_mut().context("a ustar header")?;
        place(&mut ustar.name, name, "path");
        place(&mut ustar.linkname, link.unwrap_or_default(), "linkpath");
        header.set_cksum();
        let mut writer = tar::Builder::new(&mut self.archive);
        writer.append_pax_extensions(
            extensions
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice())),
        )?;
        writer
            .append(&header, content)
            .with_context(|| format!("append `{name}`"))?;
        // Dropping the builder would end the archive; more entries follow.
        std::mem::forget(writer);
        Ok(())
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.archive.extend_from_slice(&[0; 1024]);
        self.archive
    }
}

/// A layer in a file, with its digests.
#[derive(Debug)]
struct Blob {
    file: PathBuf,
    descriptor: Descriptor,
    diff_id: String,
}

/// An image under construction.
#[derive(Debug)]
pub struct ImageBuilder {
    family: Family,
    packing: Packing,
    directory: TempDir,
    layers: Vec<Blob>,
    config: Value,
    architecture: String,
}

/// An image or index in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What refers to it.
    pub descriptor: Descriptor,
    architecture: String,
}

impl ImageBuilder {
    /// An OCI image for linux/amd64 with a `PATH` and no layers; layers that follow are gzip.
    pub fn new(lab: &Lab) -> Result<Self> {
        Ok(Self {
            family: Family::Oci,
            packing: Packing::Gzip,
            directory: lab.temp_dir()?,
            layers: Vec::new(),
            config: json!({
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            }),
            architecture: "amd64".to_owned(),
        })
    }

    /// Media types; to be called before the first layer.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// How the layers that follow are stored.
    #[must_use]
    pub fn packing(mut self, packing: Packing) -> Self {
        self.packing = packing;
        self
    }

    /// The architecture that the config names.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        architecture.clone_into(&mut self.architecture);
        self
    }

    /// A field of the config's `config` object.
    #[must_use]
    pub fn setting(mut self, name: &str, value: Value) -> Self {
        if let Some(fields) = self.config.as_object_mut() {
            fields.insert(name.to_owned(), value);
        }
        self
    }

    /// A layer on top of those before.
    pub fn layer(self, layer: LayerBuilder) -> Result<Self> {
        let archive = layer.finish();
        self.archive(&mut archive.as_slice())
    }

    /// A layer from a finished archive in a file.
    pub fn archive_file(self, path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        self.archive(&mut BufReader::new(file))
    }

    fn archive(mut self, content: &mut dyn Read) -> Result<Self> {
        let path = self
            .directory
            .path()
            .join(format!("layer-{}", self.layers.len()));
        let diff_id = pack(content, self.packing, &path)?;
        let (digest, size) = digest_file(&path)?;
        let media_type = self.family.layer(self.packing).to_owned();
        let descriptor = Descriptor {
            media_type,
            digest,
            size,
        };
        self.layers.push(Blob {
            file: path,
            descriptor,
            diff_id,
        });
        Ok(self)
    }

    /// Uploads everything; `name` is `repository:tag`.
    pub fn push(&self, registry: &Registry, name: &str) -> Result<Pushed> {
        let (repository, reference) = split_name(name)?;
        for Blob {
            file, descriptor, ..
        } in &self.layers
        {
            let mut content =
                File::open(file).with_context(|| format!("open {}", file.display()))?;
            registry.put_blob(
                repository,
                &descriptor.digest,
                descriptor.size,
                &mut content,
            )?;
        }
        let config = self.config_bytes();
        let config_digest = digest_of(&config);
        let config_size = config.len() as u64;
        registry.put_blob(
            repository,
            &config_digest,
            config_size,
            &mut config.as_slice(),
        )?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.family.manifest(),
            "config": {
                "mediaType": self.family.config(), "digest": config_digest, "size": config_size,
            },
            "layers": self.layers.iter().map(|blob| to_json(&blob.descriptor)).collect::<Vec<_>>(),
        });
        let bytes = manifest.to_string().into_bytes();
        registry.put_manifest(repository, reference, self.family.manifest(), &bytes)?;
        Ok(Pushed {
            descriptor: Descriptor {
                media_type: self.family.manifest().to_owned(),
                digest: digest_of(&bytes),
                size: bytes.len() as u64,
            },
            architecture: self.architecture.clone(),
        })
    }

    fn config_bytes(&self) -> Vec<u8> {
        let created = "2020-09-13T12:26:40Z";
        let history: Vec<_> = self
            .layers
            .iter()
            .map(|_| json!({ "created": created, "created_by": "the lab" }))
            .collect();
        let ids: Vec<_> = self
            .layers
            .iter()
            .map(|blob| blob.diff_id.as_str())
            .collect();
        json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": created,
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": ids },
            "history": history,
        })
        .to_string()
        .into_bytes()
    }
}

/// An index of several images of one repository.
#[derive(Debug)]
pub struct Index {
    family: Family,
    manifests: Vec<Value>,
}

impl Index {
    /// An empty index.
    pub fn new(family: Family) -> Self {
        Self {
            family,
            manifests: Vec::new(),
        }
    }

    /// Adds an image; its architecture is the one its builder was given.
    #[must_use]
    pub fn image(mut self, pushed: &Pushed) -> Self {
        let mut entry = to_json(&pushed.descriptor);
        if let Some(fields) = entry.as_object_mut() {
            let platform = json!({ "os": "linux", "architecture": pushed.architecture });
            fields.insert("platform".to_owned(), platform);
        }
        self.manifests.push(entry);
        self
    }

    /// Uploads the index; its images must already be in the repository.
    pub fn push(&self, registry: &Registry, name: &str) -> Result<Descriptor> {
        let (repository, reference) = split_name(name)?;
        let media_type = self.family.index();
        let index =
            json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": self.manifests });
        let bytes = index.to_string().into_bytes();
        registry.put_manifest(repository, reference, media_type, &bytes)?;
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            digest: digest_of(&bytes),
            size: bytes.len() as u64,
        })
    }
}

fn to_json(descriptor: &Descriptor) -> Value {
    json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    })
}

/// Compresses an archive into a file; the answer is the digest of the uncompressed bytes.
fn pack(content: &mut dyn Read, packing: Packing, path: &Path) -> Result<String> {
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let file = BufWriter::new(file);
    match packing {
        Packing::Tar => {
            let (diff_id, mut file) = copy_hashed(content, file)?;
            file.flush()?;
            Ok(diff_id)
        }
        Packing::Gzip => {
            let encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            let (diff_id, encoder) = copy_hashed(content, encoder)?;
            encoder.finish()?.flush()?;
            Ok(diff_id)
        }
        Packing::Zstd => {
            let (diff_id, encoder) = copy_hashed(content, zstd::Encoder::new(file, 1)?)?;
            encoder.finish()?.flush()?;
            Ok(diff_id)
        }
    }
}

fn copy_hashed<W: Write>(content: &mut dyn Read, mut sink: W) -> Result<(String, W)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let count = content.read(&mut buffer).context("read an archive")?;
        if count == 0 {
            break;
        }
        let (read, _) = buffer.split_at(count);
        hasher.update(read);
        sink.write_all(read).context("write a layer")?;
    }
    Ok((format!("sha256:{}", hex::encode(hasher.finalize())), sink))
}

fn digest_file(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let (digest, _) = copy_hashed(&mut file, io::sink())?;
    Ok((digest, file.stream_position()?))
}
