//! Archives as `docker save` and `--tar-path` write them, for `executor push`: a `manifest.json` that names a config and layers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::layout::file_error;
use crate::{Error, limits};

/// The file that names the others.
const MANIFEST: &str = "manifest.json";

/// An archive of one image. Nothing of it is in memory but its table of contents and its `manifest.json`.
#[derive(Debug)]
pub struct ArchiveReader {
    path: PathBuf,
    files: HashMap<String, Place>,
    image: Entry,
}

/// Where a file of the archive is.
#[derive(Debug, Clone)]
enum Place {
    At {
        offset: u64,
        size: u64,
    },
    /// COMPAT(docker): layers that an archive holds twice are links to each other.
    SameAs(String),
}

/// An entry of `manifest.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    layers: Vec<String>,
}

/// The bytes of a file in an archive.
#[derive(Debug)]
pub struct ArchivedFile {
    file: io::Take<File>,
}

impl Read for ArchivedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl ArchiveReader {
    /// Reads the table of contents.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read or is no tar, [`Error::Archive`] when it does not hold exactly one image.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| file_error("read the archive", path, source);
        let file = File::open(path).map_err(failed)?;
        let mut reader = Self {
            path: path.to_owned(),
            files: contents(file).map_err(failed)?,
            image: Entry {
                config: String::new(),
                layers: Vec::new(),
            },
        };
        let bytes = reader.read(MANIFEST, limits::MANIFEST)?;
        let entries: Vec<Entry> = serde_json::from_slice(&bytes)
            .map_err(|error| reader.error(format!("its `{MANIFEST}` cannot be read: {error}")))?;
        match entries.as_slice() {
            [image] => reader.image = image.clone(),
            images => {
                let what = format!("it holds {} images, and one is expected", images.len());
                return Err(reader.error(what));
            }
        }
        Ok(reader)
    }

    /// The config, as it is.
    ///
    /// # Errors
    /// [`Error::Archive`] when there is none, or it is too large.
    pub fn config(&self) -> Result<Vec<u8>, Error> {
        self.read(&self.image.config, limits::JSON)
    }

    /// How many layers the image has.
    pub fn layers(&self) -> usize {
        self.image.layers.len()
    }

    /// The bytes of a layer, base layer first, as they are stored: compressed or not.
    ///
    /// # Errors
    /// [`Error::Archive`] when there is none.
    pub fn layer(&self, number: usize) -> Result<ArchivedFile, Error> {
        let name = self.image.layers.get(number);
        let name = name.ok_or_else(|| self.error(format!("it has no layer {number}")))?;
        self.file(name).map(|(file, _)| file)
    }

    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let (mut file, size) = self.file(name)?;
        if size > limit {
            return Err(self.error(format!("`{name}` is larger than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|source| file_error("read", &self.path, source))?;
        Ok(bytes)
    }

    fn file(&self, name: &str) -> Result<(ArchivedFile, u64), Error> {
        let missing = || self.error(format!("it has no file `{name}`"));
        let place = match self.files.get(name).ok_or_else(missing)? {
            // One step: a link to a link would be a circle or a joke.
            Place::SameAs(target) => self.files.get(target).ok_or_else(missing)?,
            place @ Place::At { .. } => place,
        };
        let Place::At { offset, size } = *place else {
            return Err(missing());
        };
        let failed = |source| file_error("read", &self.path, source);
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let file = file.take(size);
        Ok((ArchivedFile { file }, size))
    }

    fn error(&self, what: String) -> Error {
        Error::Archive {
            path: self.path.clone(),
            what,
        }
    }
}

fn contents(file: File) -> io::Result<HashMap<String, Place>> {
    let mut files = HashMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if files.len() >= limits::ARCHIVED_FILES {
            let what = format!("it has more than {} files", limits::ARCHIVED_FILES);
            return Err(io::Error::other(what));
        }
        let name = clean(&entry.path_bytes());
        let kind = entry.header().entry_type();
        if kind.is_file() {
            let (offset, size) = (entry.raw_file_position(), entry.size());
            files.insert(name, Place::At { offset, size });
        } else if let (true, Some(target)) = (
            kind.is_symlink() || kind.is_hard_link(),
            entry.link_name_bytes(),
        ) {
            let target = match (kind.is_symlink(), name.rsplit_once('/')) {
                (true, Some((directory, _))) => {
                    clean(format!("{directory}/{}", String::from_utf8_lossy(&target)).as_bytes())
                }
                (true, None) | (false, _) => clean(&target),
            };
            files.insert(name, Place::SameAs(target));
        }
    }
    Ok(files)
}

/// Names are keys here and never paths of the machine: `.` and `..` are resolved among themselves.
fn clean(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(file.as_file());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        for (name, target) in links {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
        }
        builder.finish().unwrap();
        drop(builder);
        file
    }

    const ONE: &[u8] =
        br#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar","b/layer.tar"]}]"#;

    #[test]
    fn layers_are_found_by_name_and_through_links() {
        let file = archive(
            &[
                ("manifest.json", ONE),
                ("./c.json", b"{}"),
                ("a/layer.tar", b"bytes"),
            ],
            &[("b/layer.tar", "../a/layer.tar")],
        );
        let reader = ArchiveReader::open(file.path()).unwrap();
        assert_eq!(
            (reader.config().unwrap(), reader.layers()),
            (b"{}".to_vec(), 2)
        );
        for number in [0, 1] {
            let mut bytes = String::new();
            reader
                .layer(number)
                .unwrap()
                .read_to_string(&mut bytes)
                .unwrap();
            assert_eq!(bytes, "bytes");
        }
    }

    #[test]
    fn what_is_no_image_is_refused_with_the_reason() {
        let two = [&ONE[..ONE.len() - 1], b",", &ONE[1..]].concat();
        for (files, reason) in [
            (&[("x", &b"x"[..])][..], "it has no file `manifest.json`"),
            (
                &[("manifest.json", &b"{"[..])],
                "its `manifest.json` cannot be read",
            ),
            (&[("manifest.json", &two[..])], "it holds 2 images"),
            (&[("manifest.json", &b"[]"[..])], "it holds 0 images"),
        ] {
            let file = archive(files, &[]);
            let error = ArchiveReader::open(file.path()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let file = archive(
            &[("manifest.json", ONE)],
            &[("a/layer.tar", "layer.tar"), ("a/x", "../../..")],
        );
        let reader = ArchiveReader::open(file.path()).unwrap();
        reader.config().unwrap_err();
        reader.layer(0).unwrap_err();
        reader.layer(2).unwrap_err();
    }
}
