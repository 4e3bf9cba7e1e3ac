//! What was done, so that it can be done backwards.

use std::os::fd::OwnedFd;

use kigumi_layer::{ImagePath, Metadata, Timestamp};
use rustix::fs::AtFlags;
use rustix::io::{Errno, Result};

use super::area::{self, Area};
use super::{rename, set_time};
use crate::{Error, disk};

/// One thing that was done. Directories are held open: should the process rename them, they are found all the same.
#[derive(Debug)]
pub(super) enum Action {
    /// A directory was made above a target.
    Stub { parent: OwnedFd, name: Box<[u8]> },
    /// Something was renamed into an area.
    Aside {
        parent: OwnedFd,
        name: Box<[u8]>,
        area: usize,
        hidden: Vec<u8>,
    },
    /// A thing got its name.
    Placed {
        parent: OwnedFd,
        name: Box<[u8]>,
        area: usize,
        home: Option<(OwnedFd, Box<[u8]>)>,
    },
    /// A directory is about to get other owners and permissions.
    Dressed {
        directory: OwnedFd,
        metadata: Metadata,
    },
    /// What is in a directory, save for some names, is ours.
    Refilled {
        directory: OwnedFd,
        kept: Vec<Box<[u8]>>,
        area: usize,
        home: Option<OwnedFd>,
    },
}

/// A directory in which names came and went, and the time that it shall have.
#[derive(Debug)]
struct Touched {
    directory: OwnedFd,
    inode: (u64, u64),
    mtime: Timestamp,
}

#[derive(Default, Debug)]
pub(super) struct Journal {
    actions: Vec<Action>,
    touched: Vec<Touched>,
}

impl Journal {
    pub(super) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Remembers the time of a directory before names in it change.
    pub(super) fn touch(&mut self, directory: &OwnedFd) -> Result<()> {
        let stat = disk::stat_of_fd(directory)?;
        if self.touched.iter().any(|known| known.inode == stat.inode()) {
            return Ok(());
        }
        self.touched.push(Touched {
            directory: directory.try_clone().map_err(|_none_left| Errno::MFILE)?,
            inode: stat.inode(),
            mtime: stat.identity.mtime,
        });
        Ok(())
    }

    /// Sets the directories back to the time they had: what a process writes into one is then told by another time.
    pub(super) fn restore_times(&self) {
        for touched in &self.touched {
            // A volume may refuse; no snapshot looks there.
            let _refused = set_time(&touched.directory, touched.mtime);
        }
    }

    /// Undoes everything, the last thing first, and gives the first failure.
    pub(super) fn undo(&mut self, areas: &[Area]) -> Option<Error> {
        // Whatever the process wrote there has set the time since.
        for touched in &mut self.touched {
            if let Ok(stat) = disk::stat_of_fd(&touched.directory) {
                touched.mtime = stat.identity.mtime;
            }
        }
        let mut first = None;
        while let Some(action) = self.actions.pop() {
            if let Err(error) = undo_one(&action, areas) {
                let path = named(&action);
                first.get_or_insert(Error::file("put back what was at", &path, error));
            }
        }
        self.restore_times();
        self.touched.clear();
        first
    }
}

/// For messages: names alone, the directories may have moved.
fn named(action: &Action) -> ImagePath {
    let root = ImagePath::root();
    match action {
        Action::Stub { name, .. } | Action::Aside { name, .. } | Action::Placed { name, .. } => {
            root.join(name)
        }
        Action::Dressed { .. } | Action::Refilled { .. } => root,
    }
}

fn undo_one(action: &Action, areas: &[Area]) -> Result<()> {
    let area = |index: &usize| areas.get(*index).ok_or(Errno::INVAL);
    match action {
        Action::Stub { parent, name } => {
            match rustix::fs::unlinkat(parent, &**name, AtFlags::REMOVEDIR) {
                // The process has put something into it, or taken it away: that is part of what it did.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::NOTDIR) => Ok(()),
                other => other,
            }
        }
        Action::Aside {
            parent,
            name,
            area: index,
            hidden,
        } => match rename(&area(index)?.root, hidden, parent, name) {
            // The process has removed the directory above: what was in it goes with the area.
            Err(Errno::NOENT) if disk::stat_of_fd(parent)?.identity.nlink == 0 => Ok(()),
            other => other,
        },
        Action::Placed {
            parent,
            name,
            area: index,
            home: Some((holder, home)),
        } => go_home(parent, name, (holder, home), area(index)?),
        Action::Placed {
            parent,
            name,
            area: index,
            home: None,
        } => area(index)?.discard(parent, name),
        Action::Dressed {
            directory,
            metadata,
        } => area::dress(directory, metadata),
        Action::Refilled {
            directory,
            kept,
            area: index,
            home,
        } => empty(directory, kept, area(index)?, home.as_ref()),
    }
}

/// A directory that outlives the step goes back; should the process have put something else in its place, that is thrown away.
fn go_home(
    parent: &OwnedFd,
    name: &[u8],
    (holder, home): (&OwnedFd, &[u8]),
    area: &Area,
) -> Result<()> {
    match disk::stat_at(parent, name) {
        Ok(stat) if stat.is_directory() => rename(parent, name, holder, home),
        Ok(_) => area.discard(parent, name),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

fn empty(
    directory: &OwnedFd,
    kept: &[Box<[u8]>],
    area: &Area,
    home: Option<&OwnedFd>,
) -> Result<()> {
    for name in disk::names(disk::open_at(
        directory,
        b".",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY,
    )?)? {
        if kept.contains(&name) {
            continue;
        }
        match home {
            Some(home) => rename(directory, &name, home, &name)?,
            None => area.discard(directory, &name)?,
        }
    }
    Ok(())
}
