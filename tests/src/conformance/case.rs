//! `case.json`: what to build.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::git::Repository;

/// One build.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of its directory.
    pub name: String,
    /// The behaviour that it pins down.
    pub about: String,
    /// Its group.
    pub section: String,
    /// Whether the build has to execute a RUN.
    pub needs_run: bool,
    /// The image that the built stage rests on, informative.
    pub base: String,
    dockerfile: String,
    dockerfile_b64: Option<String>,
    /// The build context.
    pub files: Vec<Entry>,
    /// How it is built.
    pub options: Options,
    /// Images by name, besides `busybox`.
    #[serde(default)]
    pub images: BTreeMap<String, ImageSpec>,
    /// Files of an HTTP server.
    #[serde(default)]
    pub http: Vec<Entry>,
    /// Repositories.
    #[serde(default)]
    pub git: BTreeMap<String, Repository>,
    /// Facets that are not compared.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// What BuildKit does is debatable; a builder may do what this says instead.
    pub quirk: Option<String>,
}

/// How a case is built.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// The stage to build.
    pub target: Option<String>,
    /// One platform, or several with commas between them.
    pub platform: Option<String>,
    /// By id.
    pub secrets: BTreeMap<String, Secret>,
    /// Ids of forwarded agents.
    pub ssh: Vec<String>,
    /// By name.
    pub build_contexts: BTreeMap<String, NamedContext>,
    /// Addresses by name.
    pub add_hosts: BTreeMap<String, String>,
    /// `soft:hard` by name.
    pub ulimits: BTreeMap<String, String>,
    /// Whether times of new layers are clamped.
    pub rewrite_timestamp: bool,
    /// Where the Dockerfile is.
    pub dockerfile_path: Option<String>,
    /// Whether it is in the context.
    pub dockerfile_in_context: Option<bool>,
    /// What lies beside a Dockerfile that is not.
    pub dockerfile_dir_files: Vec<Entry>,
}

/// What must not get into an image.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Secret {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes {
        /// In base64.
        content_b64: String,
    },
}

/// A context with a name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedContext {
    /// A directory of these.
    pub files: Option<Vec<Entry>>,
    /// One of the images.
    pub image: Option<String>,
}

/// A file of any kind, on disk or in an archive.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it is; verbatim in archives.
    pub path: String,
    /// What it is.
    #[serde(rename = "type", default)]
    pub kind: EntryKind,
    mode: Option<String>,
    content: Option<String>,
    content_b64: Option<String>,
    content_repeat: Option<(String, usize)>,
    /// Of links.
    pub target: Option<String>,
    #[serde(default)]
    xattrs: BTreeMap<String, String>,
    /// Seconds since the epoch.
    pub mtime: Option<i64>,
    /// Owner, in archives.
    pub uid: Option<u64>,
    /// Group, in archives.
    pub gid: Option<u64>,
    /// Of devices.
    #[serde(default)]
    pub devmajor: u32,
    /// Of devices.
    #[serde(default)]
    pub devminor: u32,
    /// Of an archive.
    #[serde(default)]
    pub entries: Vec<Entry>,
    /// Of an archive.
    #[serde(default)]
    pub compression: Packing,
    /// Of an archive.
    #[serde(default)]
    pub tar_format: TarFormat,
    /// What an HTTP server answers with.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What an HTTP server answers with.
    pub status: Option<u16>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Regular file.
    #[default]
    File,
    /// Directory.
    Dir,
    /// Symbolic link.
    Symlink,
    /// Second name of a file.
    Hardlink,
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
    /// A regular file that is an archive.
    Tar,
    /// Character device.
    Char,
    /// Block device.
    Block,
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Not.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
}

/// The dialect of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TarFormat {
    /// POSIX 2001.
    #[default]
    Pax,
    /// GNU tar.
    Gnu,
    /// POSIX 1988.
    Ustar,
}

/// An image to be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageSpec {
    /// `busybox`: its layers come first.
    pub base: Option<String>,
    /// The `config` object of the config.
    pub config: Map<String, Value>,
    /// Fields of the config itself.
    pub config_top: Map<String, Value>,
    /// Base layer first.
    pub layers: Vec<LayerSpec>,
    /// Of the config; one entry a layer if absent.
    pub history: Option<Vec<Value>>,
    /// Of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Docker's media types instead of OCI's.
    pub docker_media_types: bool,
    /// An index of images by platform instead of an image.
    pub index: BTreeMap<String, ImageSpec>,
}

/// A layer to be made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSpec {
    /// In the order of the archive; whiteouts under their names.
    pub entries: Vec<Entry>,
    /// gzip if absent.
    pub compression: Option<Packing>,
}

impl Case {
    /// Reads a case from its directory.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("case.json");
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let case: Self =
            serde_json::from_slice(&bytes).with_context(|| format!("parse {}", path.display()))?;
        ensure!(
            directory
                .file_name()
                .is_some_and(|name| name == case.name.as_str()),
            "{} is called {}",
            directory.display(),
            case.name
        );
        Ok(case)
    }

    /// The Dockerfile, byte for byte.
    pub fn dockerfile(&self) -> Result<Vec<u8>> {
        match &self.dockerfile_b64 {
            Some(text) => BASE64_STANDARD
                .decode(text)
                .context("decode dockerfile_b64"),
            None => Ok(self.dockerfile.clone().into_bytes()),
        }
    }
}

impl Case {
    /// The same case with another Dockerfile.
    #[must_use]
    pub fn with_dockerfile(mut self, text: &str) -> Self {
        self.dockerfile_b64 = None;
        text.clone_into(&mut self.dockerfile);
        self
    }
}

impl Secret {
    /// The bytes.
    pub(crate) fn content(&self) -> Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Bytes { content_b64 } => BASE64_STANDARD
                .decode(content_b64)
                .context("decode a secret"),
        }
    }
}

impl Entry {
    /// A regular file without anything special.
    pub(crate) fn file(path: &str, content: &str) -> Self {
        Self {
            content: Some(content.to_owned()),
            ..Self::of(path, EntryKind::File)
        }
    }

    /// A regular file that is no text.
    pub(crate) fn binary(path: &str, content: &[u8]) -> Self {
        Self {
            content_b64: Some(BASE64_STANDARD.encode(content)),
            ..Self::of(path, EntryKind::File)
        }
    }

    /// An entry without content.
    pub(crate) fn of(path: &str, kind: EntryKind) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            mode: None,
            content: None,
            content_b64: None,
            content_repeat: None,
            target: None,
            xattrs: BTreeMap::new(),
            mtime: None,
            uid: None,
            gid: None,
            devmajor: 0,
            devminor: 0,
            entries: Vec::new(),
            compression: Packing::None,
            tar_format: TarFormat::Pax,
            headers: BTreeMap::new(),
            status: None,
        }
    }

    /// The same with permission bits.
    pub(crate) fn with_mode(mut self, mode: u32) -> Self {
        self.mode = Some(format!("{mode:o}"));
        self
    }

    /// The same with the target of a link.
    pub(crate) fn with_target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    /// Permission bits; nothing if the case does not give any.
    pub(crate) fn given_mode(&self) -> Result<Option<u32>> {
        let parse = |text: &String| {
            u32::from_str_radix(text, 8).with_context(|| format!("mode `{text}` of {}", self.path))
        };
        self.mode.as_ref().map(parse).transpose()
    }

    /// Permission bits, those of the schema if the case does not give any.
    pub(crate) fn mode(&self) -> Result<u32> {
        let default = match self.kind {
            EntryKind::Dir => 0o755,
            EntryKind::Symlink => 0o777,
            EntryKind::File
            | EntryKind::Hardlink
            | EntryKind::Fifo
            | EntryKind::Socket
            | EntryKind::Tar
            | EntryKind::Char
            | EntryKind::Block => 0o644,
        };
        Ok(self.given_mode()?.unwrap_or(default))
    }

    /// What the file holds.
    pub(crate) fn content(&self) -> Result<Vec<u8>> {
        if self.kind == EntryKind::Tar {
            return super::archive::packed(&self.entries, self.tar_format, self.compression);
        }
        if let Some(text) = &self.content_b64 {
            return BASE64_STANDARD
                .decode(text)
                .with_context(|| format!("content of {}", self.path));
        }
        if let Some((text, count)) = &self.content_repeat {
            return Ok(text.repeat(*count).into_bytes());
        }
        Ok(self.content.clone().unwrap_or_default().into_bytes())
    }

    /// Extended attributes, decoded.
    pub(crate) fn xattrs(&self) -> Result<Vec<(&str, Vec<u8>)>> {
        let decode = |(name, value): (&'_ String, &String)| {
            let bytes = BASE64_STANDARD.decode(value);
            bytes.with_context(|| format!("attribute {name} of {}", self.path))
        };
        self.xattrs
            .iter()
            .map(|pair| Ok((pair.0.as_str(), decode(pair)?)))
            .collect()
    }

    /// The target of a link.
    pub(crate) fn target(&self) -> Result<&str> {
        self.target
            .as_deref()
            .with_context(|| format!("{} has no target", self.path))
    }
}
