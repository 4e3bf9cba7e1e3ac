//! Archives as `docker save` writes them (`--tar-path`, K-OUT-07): the config, the layers as they are stored, and a
//! `manifest.json` that names them.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use kigumi_oci::{Compression, Descriptor, Digest, Verified, layer_compression};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::layout::{file_error, temporary};
use crate::{Error, limits};

/// What an image is called in an archive when nobody gave it a name.
///
/// COMPAT(kaniko): the same.
pub const UNNAMED: &str = "docker.io/unset-repo/unset-image-name";

/// Writes one image as an archive, entry by entry.
///
/// The archive gets its name when it is complete. A path that is there and no regular file (`/dev/stdout`, a pipe) is written
/// to as it is.
pub struct ArchiveWriter {
    path: PathBuf,
    builder: tar::Builder<BufWriter<Sink>>,
    config: Option<String>,
    layers: Vec<String>,
    written: HashSet<Digest>,
}

impl fmt::Debug for ArchiveWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveWriter")
            .field("path", &self.path)
            .field("layers", &self.layers)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Sink {
    Temporary(NamedTempFile),
    Direct(File),
}

/// An entry of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    config: &'a str,
    repo_tags: &'a [String],
    layers: &'a [String],
}

impl ArchiveWriter {
    /// Begins an archive at `path`.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be created.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let sink = Sink::open(path).map_err(|source| file_error("create", path, source))?;
        Ok(Self {
            path: path.to_owned(),
            builder: tar::Builder::new(BufWriter::with_capacity(limits::CHUNK, sink)),
            config: None,
            layers: Vec::new(),
            written: HashSet::new(),
        })
    }

    /// Writes the config.
    ///
    /// # Errors
    /// [`Error::PutBlob`] when the archive cannot be written.
    pub fn config(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let digest = Digest::of(bytes);
        let name = format!("{}.json", digest.hex());
        let size = bytes.len() as u64;
        self.append(&name, size, bytes)
            .map_err(|source| self.error(digest, source))?;
        self.config = Some(name);
        Ok(())
    }

    /// Writes the next layer, base layer first, verified. A layer that comes twice is stored once.
    ///
    /// # Errors
    /// [`Error::PutBlob`] when the bytes are not those promised, or cannot be written.
    pub fn layer(&mut self, descriptor: &Descriptor, bytes: &mut dyn Read) -> Result<(), Error> {
        let digest = descriptor.digest;
        // Readers look into the file for its compression; the ending is for people.
        let ending = match layer_compression(&descriptor.media_type) {
            Some(Compression::Gzip) => "tar.gz",
            Some(Compression::Zstd) => "tar.zst",
            Some(Compression::None) | None => "tar",
        };
        let name = format!("{}.{ending}", digest.hex());
        if self.written.insert(digest) {
            self.append(&name, descriptor.size, Verified::new(bytes, descriptor))
                .map_err(|source| self.error(digest, source))?;
        }
        self.layers.push(name);
        Ok(())
    }

    /// Ends the archive. `tags` are references with tags; without any the image is called [`UNNAMED`].
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written.
    pub fn finish(mut self, tags: &[String]) -> Result<(), Error> {
        let unnamed = [format!("{UNNAMED}:latest")];
        let entry = Entry {
            config: self.config.as_deref().unwrap_or_default(),
            repo_tags: if tags.is_empty() { &unnamed } else { tags },
            layers: &self.layers,
        };
        let manifest = serde_json::to_vec(&[entry]);
        let path = self.path.clone();
        let write = |source| file_error("write", &path, source);
        let manifest = manifest.map_err(|error| write(error.into()))?;
        let size = manifest.len() as u64;
        self.append("manifest.json", size, manifest.as_slice())
            .map_err(write)?;
        let buffer = self.builder.into_inner().map_err(write)?;
        let sink = buffer
            .into_inner()
            .map_err(|error| write(error.into_error()))?;
        sink.close(&path).map_err(write)
    }

    fn append(&mut self, name: &str, size: u64, bytes: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        self.builder.append(&header, bytes)
    }

    fn error(&self, digest: Digest, source: io::Error) -> Error {
        Error::PutBlob {
            path: self.path.clone(),
            digest,
            source,
        }
    }
}

impl Sink {
    fn open(path: &Path) -> io::Result<Self> {
        let special = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        if special {
            return OpenOptions::new().write(true).open(path).map(Self::Direct);
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(directory)?;
        temporary(directory).map(Self::Temporary)
    }

    fn close(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Temporary(file) => {
                file.as_file().sync_all()?;
                file.persist(path).map(drop).map_err(|error| error.error)
            }
            Self::Direct(mut file) => file.flush(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Temporary(file) => file.write(bytes),
            Self::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Temporary(file) => file.flush(),
            Self::Direct(file) => file.flush(),
        }
    }
}
