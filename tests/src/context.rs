//! Build contexts made in code.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{Lab, tool};

/// A directory of files for a build, in the lab's own temporary space.
#[derive(Debug)]
pub struct Context {
    directory: TempDir,
}

impl Context {
    /// An empty context.
    pub fn new(lab: &Lab) -> Result<Self> {
        Ok(Self {
            directory: lab.temp_dir()?,
        })
    }

    /// A copy of an existing directory, modes, owners and times kept.
    pub fn copy_of(lab: &Lab, source: &Path) -> Result<Self> {
        let context = Self::new(lab)?;
        copy_tree(source, context.path())?;
        Ok(context)
    }

    /// Where the context lies on this machine.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A file with mode 0644.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Result<Self> {
        self.file_with_mode(path, content, 0o644)
    }

    /// A file with the given mode; missing parents are made.
    pub fn file_with_mode(self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<Self> {
        let place = self.place(path)?;
        fs::write(&place, content).with_context(|| format!("write {}", place.display()))?;
        fs::set_permissions(&place, fs::Permissions::from_mode(mode))
            .with_context(|| format!("chmod {}", place.display()))?;
        Ok(self)
    }

    /// A directory with the given mode; missing parents are made.
    pub fn dir(self, path: &str, mode: u32) -> Result<Self> {
        let place = self.place(path)?;
        fs::create_dir_all(&place).with_context(|| format!("mkdir {}", place.display()))?;
        fs::set_permissions(&place, fs::Permissions::from_mode(mode))
            .with_context(|| format!("chmod {}", place.display()))?;
        Ok(self)
    }

    /// A symbolic link.
    pub fn symlink(self, path: &str, target: &str) -> Result<Self> {
        let place = self.place(path)?;
        symlink(target, &place).with_context(|| format!("symlink {}", place.display()))?;
        Ok(self)
    }

    /// A second name for an existing file.
    pub fn hard_link(self, path: &str, existing: &str) -> Result<Self> {
        let place = self.place(path)?;
        fs::hard_link(self.path().join(existing), &place)
            .with_context(|| format!("link {}", place.display()))?;
        Ok(self)
    }

    fn place(&self, path: &str) -> Result<PathBuf> {
        let place = self.path().join(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).with_context(|| format!("mkdir {}", parent.display()))?;
        }
        Ok(place)
    }
}

/// Copies the children of a directory, with everything `cp -a` keeps.
pub(crate) fn copy_tree(source: &Path, target: &Path) -> Result<()> {
    let mut children = source.as_os_str().to_owned();
    children.push("/.");
    tool::run(Command::new("cp").arg("-a").arg(children).arg(target))?;
    Ok(())
}
