//! Values that must be nowhere, and the places to look.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;

use crate::{Image, Registry};

/// Secrets, in the forms in which somebody would find them.
#[derive(Debug, Default)]
pub struct Canaries(Vec<Canary>);

#[derive(Debug)]
struct Canary {
    /// Which value in which form, for messages.
    name: String,
    bytes: Vec<u8>,
}

impl Canaries {
    /// Looks for this value too: as it is, in base64 and in hexadecimal.
    #[must_use]
    pub fn and(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        let mut add = |form: &str, bytes: Vec<u8>| {
            let name = format!("{name} ({form})");
            self.0.push(Canary { name, bytes });
        };
        add("as it is", value.to_vec());
        add("base64", BASE64_STANDARD.encode(value).into_bytes());
        add("hexadecimal", hex::encode(value).into_bytes());
        self
    }

    /// Fails if one is in these bytes.
    pub fn absent_from(&self, place: &str, bytes: &[u8]) -> Result<()> {
        for canary in &self.0 {
            let found = memmem::find(bytes, &canary.bytes);
            ensure!(found.is_none(), "{} is in {place}", canary.name);
        }
        Ok(())
    }

    /// Fails if one is in a file, a name or a link below a directory. Gives the number of files that were read.
    pub fn absent_below(&self, directory: &Path) -> Result<u64> {
        let mut read = 0;
        for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            let place = path.display().to_string();
            self.absent_from(&place, path.as_os_str().as_bytes())?;
            let kind = path.symlink_metadata()?.file_type();
            if kind.is_symlink() {
                let target = fs::read_link(&path)?;
                self.absent_from(&place, target.as_os_str().as_bytes())?;
            } else if kind.is_dir() {
                read += self.absent_below(&path)?;
            } else if kind.is_file() {
                self.absent_from(&place, &fs::read(&path).with_context(|| place.clone())?)?;
                read += 1;
            }
        }
        Ok(read)
    }

    /// Fails if one is in the manifest, the config with its history, or a layer of an image, unpacked or as it is stored.
    pub fn absent_from_image(&self, registry: &Registry, image: &Image) -> Result<()> {
        let repository = image
            .name
            .rsplit_once(':')
            .map_or(&*image.name, |(name, _)| name);
        self.absent_from("the manifest", &image.manifest.bytes)?;
        self.absent_from("the config", &image.config.bytes)?;
        for layer in &image.layers {
            let mut stored = Vec::new();
            registry
                .blob(repository, &layer.digest)?
                .read_to_end(&mut stored)?;
            self.absent_from("a layer as stored", &stored)?;
            let mut archive = Vec::new();
            match layer.compression {
                "gzip" => {
                    flate2::read::MultiGzDecoder::new(stored.as_slice())
                        .read_to_end(&mut archive)?;
                }
                "zstd" => archive = zstd::decode_all(stored.as_slice())?,
                _ => archive = stored,
            }
            self.absent_from("a layer", &archive)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_found_in_every_form_and_place() -> Result<()> {
        let canaries = Canaries::default().and("token", "hunter22");
        canaries.absent_from("nothing", b"hunter2")?;
        for text in ["<hunter22>", "aHVudGVyMjI=", "68756e7465723232"] {
            canaries.absent_from("text", text.as_bytes()).unwrap_err();
            let directory = tempfile::tempdir()?;
            canaries.absent_below(directory.path())?;
            fs::create_dir(directory.path().join("d"))?;
            let file = directory.path().join("d/f");
            fs::write(&file, text)?;
            canaries.absent_below(directory.path()).unwrap_err();
            fs::write(&file, "")?;
            ensure!(canaries.absent_below(directory.path())? == 1);
            std::os::unix::fs::symlink(text, directory.path().join("d/l"))?;
            canaries.absent_below(directory.path()).unwrap_err();
        }
        Ok(())
    }
}
