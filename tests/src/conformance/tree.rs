//! Trees on disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::archive::DEFAULT_MTIME;
use super::case::{Entry, EntryKind};

/// Makes the entries below a directory, which exists: modes explicit, every time set, children before parents.
pub(crate) fn materialise(root: &Path, entries: &[Entry]) -> Result<()> {
    for entry in entries {
        make(root, entry).with_context(|| format!("make `{}`", entry.path))?;
    }
    for entry in entries {
        // After all files, because a directory may be read-only.
        let is_dir = entry.kind == EntryKind::Dir;
        if is_dir {
            set_mode(&root.join(&entry.path), entry.mode()?)?;
        }
    }
    set_times(root, root, entries)
}

fn make(root: &Path, entry: &Entry) -> Result<()> {
    let place = root.join(&entry.path);
    if let Some(parent) = place.parent() {
        make_parents(root, parent)?;
    }
    match entry.kind {
        EntryKind::File | EntryKind::Tar => {
            fs::write(&place, entry.content()?)?;
            set_mode(&place, entry.mode()?)?;
        }
        EntryKind::Dir => make_parents(root, &place)?,
        EntryKind::Symlink => symlink(entry.target()?, &place)?,
        EntryKind::Hardlink => fs::hard_link(root.join(entry.target()?), &place)?,
        EntryKind::Fifo => make_node(&place, FileType::Fifo, entry)?,
        EntryKind::Socket => make_node(&place, FileType::Socket, entry)?,
        EntryKind::Char | EntryKind::Block => bail!("a context holds no devices"),
    }
    for (name, value) in entry.xattrs()? {
        rustix::fs::lsetxattr(&place, name, &value, XattrFlags::empty())?;
    }
    Ok(())
}

fn make_parents(root: &Path, directory: &Path) -> Result<()> {
    let mut missing: Vec<&Path> = directory
        .ancestors()
        .take_while(|path| *path != root && !path.exists())
        .collect();
    while let Some(path) = missing.pop() {
        fs::create_dir(path)?;
        set_mode(path, 0o755)?;
    }
    Ok(())
}

fn make_node(place: &Path, kind: FileType, entry: &Entry) -> Result<()> {
    rustix::fs::mknodat(CWD, place, kind, Mode::from_raw_mode(0o600), 0)?;
    set_mode(place, entry.mode()?)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("chmod {}", path.display()))
}

fn set_times(root: &Path, directory: &Path, entries: &[Entry]) -> Result<()> {
    let children: Vec<PathBuf> = fs::read_dir(directory)?
        .map(|child| child.map(|child| child.path()))
        .collect::<Result<_, _>>()?;
    for child in children {
        if child.symlink_metadata()?.is_dir() {
            set_times(root, &child, entries)?;
        } else {
            set_time(root, &child, entries)?;
        }
    }
    set_time(root, directory, entries)
}

fn set_time(root: &Path, path: &Path, entries: &[Entry]) -> Result<()> {
    let entry = entries
        .iter()
        .rev()
        .find(|entry| root.join(&entry.path) == path);
    let seconds = entry.and_then(|entry| entry.mtime).unwrap_or(DEFAULT_MTIME);
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .with_context(|| format!("set the time of {}", path.display()))
}
