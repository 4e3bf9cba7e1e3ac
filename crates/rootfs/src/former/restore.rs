//! From the area back to the root.

use kigumi_layer::{ImagePath, Metadata};
use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{dress, metadata_of, remove_empty};
use crate::wipe::Remover;
use crate::{Error, Exclusions, RootDir, disk};

/// What is left to do for one path.
enum Task {
    Move(ImagePath),
    /// Everything in the directory is back.
    Finish(ImagePath, Metadata),
}

struct Restorer<'a> {
    root: &'a RootDir,
    exclusions: &'a Exclusions,
    content: &'a RootDir,
    tasks: Vec<Task>,
}

/// Moves everything back, and tells what the root directory itself was.
pub(super) fn restore(
    root: &RootDir,
    exclusions: &Exclusions,
    content: &RootDir,
) -> Result<Metadata, Error> {
    let mut restorer = Restorer {
        root,
        exclusions,
        content,
        tasks: Vec::new(),
    };
    let (metadata, entries) = restorer.look(&ImagePath::root())?;
    restorer.tasks = entries;
    while let Some(task) = restorer.tasks.pop() {
        match task {
            Task::Move(path) => restorer.step(&path)?,
            Task::Finish(path, metadata) => restorer.finish(&path, &metadata)?,
        }
    }
    Ok(metadata)
}

impl Restorer<'_> {
    fn step(&mut self, path: &ImagePath) -> Result<(), Error> {
        let failed = |source: Errno| Error::file("put back", path, source);
        let name = path.file_name().unwrap_or_default();
        let from = self.content.parent(path).map_err(failed)?;
        let to = self.root.parent(path).map_err(failed)?;
        let rename = || rustix::fs::renameat_with(&*from, name, &*to, name, RenameFlags::NOREPLACE);
        match rename() {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::BUSY | Errno::XDEV) => {}
            Err(error) => return Err(failed(error)),
        }
        let is_directory = disk::stat_at(&*from, name).map_err(failed)?.is_directory();
        match disk::stat_at(&*to, name) {
            Ok(there) if there.is_directory() && is_directory => {
                if self.exclusions.guards(&there) {
                    return Err(failed(Errno::BUSY));
                }
            }
            // Only a process that outlived the build can have made it.
            Ok(_) => {
                if !Remover::new(self.root, self.exclusions).remove(&*to, name, path)? {
                    return Err(failed(Errno::BUSY));
                }
                return rename().map_err(failed);
            }
            Err(Errno::NOENT) if is_directory => {
                rustix::fs::mkdirat(&*to, name, Mode::RWXU).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let (metadata, entries) = self.look(path)?;
        // The last is done first.
        self.tasks.push(Task::Finish(path.clone(), metadata));
        self.tasks.extend(entries);
        Ok(())
    }

    fn finish(&self, path: &ImagePath, metadata: &Metadata) -> Result<(), Error> {
        dress(self.root, path, metadata)?;
        let holder = self.content.parent(path);
        self.content.forget(path);
        holder
            .and_then(|holder| remove_empty(&*holder, path.file_name().unwrap_or_default()))
            .map_err(|source| Error::file("put back", path, source))
    }

    /// What a directory is, and what to do for all that is in it.
    fn look(&self, path: &ImagePath) -> Result<(Metadata, Vec<Task>), Error> {
        let failed = |source: Errno| Error::file("list what was moved aside of", path, source);
        let fd = self
            .content
            .open_directory(path, OFlags::RDONLY)
            .map_err(failed)?;
        let metadata = metadata_of(&fd).map_err(failed)?;
        let names = disk::names(&fd).map_err(failed)?;
        let tasks = names.iter().map(|name| Task::Move(path.join(name)));
        Ok((metadata, tasks.collect()))
    }
}
