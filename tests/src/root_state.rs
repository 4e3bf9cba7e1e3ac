//! Everything that can be told of the files below a directory, to compare before and after.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::io::Errno;

use crate::image::digest_of;

/// More differences than anybody reads.
const MOST: usize = 30;

/// One line for each path: type, mode, owner, time, content, links, attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootState(BTreeMap<String, String>);

impl RootState {
    /// Reads all below `root`, and `root` itself.
    pub fn of(root: &Path) -> Result<Self> {
        let mut state = Self(BTreeMap::new());
        let mut names = HashMap::new();
        let mut pending = vec![root.to_owned()];
        while let Some(path) = pending.pop() {
            let metadata = fs::symlink_metadata(&path)
                .with_context(|| format!("look at {}", path.display()))?;
            if metadata.is_dir() {
                let mut below = Vec::new();
                for entry in fs::read_dir(&path).with_context(|| path.display().to_string())? {
                    below.push(entry?.path());
                }
                below.sort();
                below.reverse();
                pending.extend(below);
            }
            let name = format!("/{}", path.strip_prefix(root)?.display());
            let mut line = describe(&path, &metadata)?;
            if !metadata.is_dir() && metadata.nlink() > 1 {
                let first = names.entry(metadata.ino()).or_insert_with(|| name.clone());
                write!(line, " one of {} with {first}", metadata.nlink())?;
            }
            state.0.insert(name, line);
        }
        Ok(state)
    }

    /// What is not the same in a later state, a line each; of very much, the first.
    pub fn difference(&self, later: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, before) in &self.0 {
            match later.0.get(name) {
                Some(after) if after == before => {}
                Some(after) => found.push(format!("{name}: {before} became {after}")),
                None => found.push(format!("{name}: {before} is gone")),
            }
        }
        let new = later
            .0
            .iter()
            .filter(|(name, _)| !self.0.contains_key(*name));
        found.extend(new.map(|(name, after)| format!("{name}: {after} is new")));
        found.truncate(MOST);
        found
    }
}

fn describe(path: &Path, metadata: &Metadata) -> Result<String> {
    let kind = metadata.file_type();
    let content = if kind.is_file() {
        digest_of(&fs::read(path).with_context(|| format!("read {}", path.display()))?)
    } else if kind.is_symlink() {
        format!("-> {}", fs::read_link(path)?.display())
    } else if kind.is_dir() {
        "directory".to_owned()
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else {
        format!("{kind:?} {}", metadata.rdev())
    };
    Ok(format!(
        "{:o} {}:{} {}.{:09} {content}{}",
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        attributes(path)?
    ))
}

fn attributes(path: &Path) -> Result<String> {
    let mut list = vec![0; 64 * 1024];
    let length = match rustix::fs::llistxattr(path, &mut list) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => {
            return Err(error).with_context(|| format!("attributes of {}", path.display()));
        }
    };
    list.truncate(length);
    let mut found: Vec<String> = Vec::new();
    for name in list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 64 * 1024];
        let name = std::ffi::OsStr::from_bytes(name);
        let length = rustix::fs::lgetxattr(path, name, &mut value)?;
        value.truncate(length);
        found.push(format!(" {}={}", name.display(), value.escape_ascii()));
    }
    found.sort();
    Ok(found.concat())
}
