//! From the root into the area.

use std::collections::HashMap;

use kigumi_layer::{ImagePath, Metadata};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{dress, metadata_of};
use crate::disk::{self, Stat};
use crate::{Error, Exclusions, RootDir};

/// What is left to do for one path.
enum Task {
    Move(ImagePath),
    /// Everything in the directory was moved: its likeness gets its time back.
    Dress(ImagePath, Metadata),
}

struct Leaver<'a> {
    root: &'a RootDir,
    exclusions: &'a Exclusions,
    content: &'a RootDir,
    tasks: Vec<Task>,
    /// First places of files with several names: overlayfs gives each name of a file in a lower layer a file of its own when it is renamed.
    links: HashMap<(u64, u64), ImagePath>,
    moved: u64,
}

/// Moves everything that is not excluded, and counts the renames.
pub(super) fn leave(
    root: &RootDir,
    exclusions: &Exclusions,
    content: &RootDir,
) -> Result<u64, Error> {
    root.forget(&ImagePath::root());
    let mut leaver = Leaver {
        root,
        exclusions,
        content,
        tasks: Vec::new(),
        links: HashMap::new(),
        moved: 0,
    };
    leaver.each_entry(&ImagePath::root())?;
    while let Some(task) = leaver.tasks.pop() {
        match task {
            Task::Move(path) => leaver.step(&path)?,
            Task::Dress(path, metadata) => dress(content, &path, &metadata)?,
        }
    }
    Ok(leaver.moved)
}

impl Leaver<'_> {
    fn step(&mut self, path: &ImagePath) -> Result<(), Error> {
        let failed = |source: Errno| Error::file("move aside", path, source);
        let (false, Some(name)) = (self.exclusions.is_excluded(path), path.file_name()) else {
            return Ok(());
        };
        let from = self.root.parent(path).map_err(failed)?;
        let stat = match disk::stat_at(&*from, name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        if self.exclusions.guards(&stat) {
            return Ok(());
        }
        if !stat.is_directory() {
            return self.move_file(path, &stat).map_err(failed);
        }
        if !self.exclusions.is_pinned(path) {
            let to = self.content.parent(path).map_err(failed)?;
            match rustix::fs::renameat_with(&*from, name, &*to, name, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    self.root.forget(path);
                    self.moved += 1;
                    return Ok(());
                }
                Err(Errno::XDEV | Errno::BUSY) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        self.make_likeness(path)?;
        self.each_entry(path)
    }

    fn move_file(&mut self, path: &ImagePath, stat: &Stat) -> rustix::io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let (from, to) = (self.root.parent(path)?, self.content.parent(path)?);
        self.moved += 1;
        if stat.identity.nlink > 1 {
            if let Some(first) = self.links.get(&stat.inode()) {
                let holder = self.content.parent(first)?;
                let first = first.file_name().unwrap_or_default();
                rustix::fs::linkat(&*holder, first, &*to, name, AtFlags::empty())?;
                return rustix::fs::unlinkat(&*from, name, AtFlags::empty());
            }
            self.links.insert(stat.inode(), path.clone());
        }
        rustix::fs::renameat_with(&*from, name, &*to, name, RenameFlags::NOREPLACE)
    }

    /// A directory that stays where it is, until it is removed or gets its content back.
    fn make_likeness(&mut self, path: &ImagePath) -> Result<(), Error> {
        let failed = |source: Errno| Error::file("make the likeness of", path, source);
        let metadata = self
            .root
            .open_directory(path, OFlags::RDONLY)
            .and_then(|fd| metadata_of(&fd))
            .map_err(failed)?;
        let to = self.content.parent(path).map_err(failed)?;
        rustix::fs::mkdirat(&*to, path.file_name().unwrap_or_default(), Mode::RWXU)
            .map_err(failed)?;
        // At once, should this process be killed; and again when its time has changed.
        dress(self.content, path, &metadata)?;
        self.tasks.push(Task::Dress(path.clone(), metadata));
        Ok(())
    }

    fn each_entry(&mut self, path: &ImagePath) -> Result<(), Error> {
        let failed = |source: Errno| Error::file("list", path, source);
        let fd = self
            .root
            .open_directory(path, OFlags::RDONLY)
            .map_err(failed)?;
        let names = disk::names(&fd).map_err(failed)?;
        self.tasks
            .extend(names.iter().map(|name| Task::Move(path.join(name))));
        Ok(())
    }
}
