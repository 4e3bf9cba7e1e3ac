//! Things that are in the root while one process runs, and gone afterwards: what `RUN --mount` asks for, in a pod that may not mount.
//!
//! A mount is imitated by names. What is at the target is *set aside*: renamed into a directory of ours on the same filesystem, which no snapshot
//! looks into. Then the thing that is wanted gets the name. [`Placer::undo`] does everything backwards: the thing goes (or returns to
//! where it came from), what was set aside gets its name back, directories that were only made to hold the target are removed if they
//! are empty, and the directories above have the time that they had. No inode of the base is copied or rewritten, so the next scan finds
//! new change times at the most, and compares.
//!
//! | at the target is | what is done ([`plan::decide`]) |
//! |---|---|
//! | nothing | missing directories above are made, 0755 of root; the thing is put there |
//! | a file or directory of the root | it is set aside, the thing gets its name |
//! | a directory that the pod mounts, or with such a mount below it | the directory stays: what is in it is set aside, what is in the thing is put into it. Mounts below stay visible |
//! | a file that the pod mounts, or something of the builder | refused |
//! | a file where a directory shall be mounted, or the reverse | refused, as by BuildKit |
//!
//! Links in a target are followed inside the root. Targets below targets work: the outer one is placed first ([`plan::in_order`]).
//!
//! **When it ends badly.** [`Placer`] undoes on drop what was not undone, so an error, a failed process or a signal that the executor hears of
//! leave no trace. When the executor itself is killed (SIGKILL, no memory, a panic of the release binary, which aborts) nothing is undone. The root is
//! then of no use to anybody but a next build in the same container, which empties it first; what was set aside lies in the builder's own
//! directory, and what was set aside on a volume of the pod lies there in a directory `.kigumi-aside-…`. Nothing that outlives the container is
//! ever *moved* into the root: a cache on a volume is copied.

mod area;
mod journal;
pub(crate) mod plan;
mod site;
mod witness;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use kigumi_layer::{ImagePath, Metadata, Mode};
use rustix::fs::{OFlags, RenameFlags};
use rustix::io::Errno;

use crate::disk;
use crate::unpack::attributes;
use crate::{Error, Exclusions, Mounts, RootDir, WritableRoot};
use area::Area;
use journal::{Action, Journal};
use plan::{Method, Shape};

pub use plan::{WhyNot, in_order};
pub use site::Site;
pub use witness::Witness;

/// Owner and permissions of something that is made to be placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stand {
    /// Permissions, set exactly.
    pub mode: Mode,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What shall be at a target.
#[derive(Clone, PartialEq, Eq)]
pub enum Item {
    /// An empty directory.
    Directory(Stand),
    /// A file with these bytes.
    File {
        /// Its content.
        bytes: Box<[u8]>,
        /// Owner and permissions.
        stand: Stand,
    },
    /// A symbolic link to a directory elsewhere, for what can be had on another filesystem only. Programs see that it is one.
    LinkToDirectory(PathBuf),
    /// Something that exists, on the filesystem of the target: a tree that was written into [`Placer::area`], a socket that was bound there, a
    /// directory that is kept elsewhere. It is moved, not copied.
    Existing {
        /// Where it is on the host.
        path: PathBuf,
        /// Whether it goes back there afterwards (a cache), or is deleted.
        returns: bool,
    },
}

/// Without the bytes: they may be a secret.
impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(stand) => f.debug_tuple("Directory").field(stand).finish(),
            Self::File { bytes, stand } => {
                write!(f, "File({} bytes, {stand:?})", bytes.len())
            }
            Self::LinkToDirectory(to) => write!(f, "LinkToDirectory({})", to.display()),
            Self::Existing { path, returns } => {
                write!(f, "Existing({}, returns: {returns})", path.display())
            }
        }
    }
}

/// Puts things into a root for a while. See the module documentation.
#[derive(Debug)]
pub struct Placer<'a> {
    root: &'a WritableRoot,
    exclusions: &'a Exclusions,
    mounts: Mounts,
    /// The first is on the filesystem of the root; each other on one of the pod's.
    areas: Vec<Area>,
    journal: Journal,
    numbers: u32,
}

impl<'a> Placer<'a> {
    /// Places into `root`, and sets aside into a new directory in `backstage`: a directory of ours on the root's filesystem that is excluded there.
    ///
    /// # Errors
    /// When `backstage` lies on another filesystem or cannot be written, or the mounts cannot be read.
    pub fn new(
        root: &'a WritableRoot,
        exclusions: &'a Exclusions,
        backstage: &Path,
    ) -> Result<Self, Error> {
        root.forget(&ImagePath::root());
        let area = Area::make_in(backstage).map_err(|source| Error::OpenHost {
            path: backstage.to_owned(),
            source: source.into(),
        })?;
        if !area.root.stat().shares_mount_with(root.stat()) {
            return Err(Error::UnfitRoot {
                path: backstage.to_owned(),
                reason: "it is not on the filesystem of the root, so that nothing can be set aside in it",
            });
        }
        Ok(Self {
            root,
            exclusions,
            mounts: Mounts::read()?,
            areas: vec![area],
            journal: Journal::default(),
            numbers: 0,
        })
    }

    /// Whether a directory can be used as `backstage` of a root.
    pub fn is_backstage(root: &RootDir, directory: &Path) -> bool {
        RootDir::open(directory).is_ok_and(|found| found.stat().shares_mount_with(root.stat()))
    }

    /// Finds out what is at a target now, links followed. What was placed before is there like anything else.
    ///
    /// # Errors
    /// [`Error::CannotPlace`] when nothing can be placed there; [`Error::File`] when the disk cannot be read.
    pub fn survey(&self, target: &ImagePath) -> Result<Site, Error> {
        site::survey(self.root, self.exclusions, &self.mounts, target)
    }

    /// A directory of ours on the filesystem of the site, to make an [`Item::Existing`] in. It goes when everything is undone, with what is in it.
    ///
    /// # Errors
    /// [`Error::CannotPlace`] when the filesystem is read-only.
    pub fn area(&mut self, site: &Site) -> Result<&Path, Error> {
        let index = self.area_of(site)?;
        Ok(self.area_at(index).root.host_path())
    }

    /// Whether something at `path` could be moved to the site: it lies on the same mount.
    pub fn is_movable(site: &Site, path: &Path) -> bool {
        RootDir::open(path).is_ok_and(|found| found.stat().shares_mount_with(&site.ground_stat))
    }

    /// Puts a thing at a site.
    ///
    /// # Errors
    /// [`Error::CannotPlace`], or [`Error::File`] with what the disk says. What was begun is undone with the rest.
    pub fn place(&mut self, site: &Site, item: &Item) -> Result<(), Error> {
        let area = self.area_of(site)?;
        let number = self.number();
        let failed = |source: Errno| Error::file("place", &site.path, source);
        let thing = self.area_at(area).make(item, &number).map_err(failed)?;
        let shape = match item {
            // It stands for a directory, so it may take the place of one.
            Item::LinkToDirectory(_) => Shape::Directory,
            _ if thing.is_directory => Shape::Directory,
            Item::Directory(_) | Item::File { .. } | Item::Existing { .. } => Shape::Other,
        };
        let method = plan::decide(site.facts, shape).map_err(|why| site.refusal(why))?;
        let parent = self.make_stubs(site)?;
        let placed = match method {
            Method::Put => self.put(site, &parent, &thing, area),
            Method::Exchange => match self.set_aside(&parent, &site.name, area) {
                Ok(()) => self.put(site, &parent, &thing, area),
                // A directory that overlayfs has in a lower layer cannot be renamed.
                Err(Errno::XDEV | Errno::BUSY) if thing.is_directory => {
                    self.refill(site, &parent, &thing, area)
                }
                Err(error) => Err(error),
            },
            Method::Refill => self.refill(site, &parent, &thing, area),
        };
        self.journal.restore_times();
        placed.map_err(failed)
    }

    /// What tells afterwards whether the process has changed what was placed at a site. To be asked for when everything is placed: what lies
    /// at `others` is not looked at.
    ///
    /// # Errors
    /// When what was placed cannot be read.
    pub fn witness(&mut self, site: &Site, others: &[ImagePath]) -> Result<Witness, Error> {
        let area = self.area_of(site)?;
        let others = others
            .iter()
            .filter(|other| **other != site.path)
            .filter_map(|other| other.strip_prefix(&site.path))
            .collect();
        let host = site::on_host(self.root, &site.path);
        Witness::new(&host, &site.path, others, &self.area_at(area).root)
    }

    /// Takes everything away again and puts everything back. What does not return anywhere waits to be deleted.
    ///
    /// # Errors
    /// The first thing that could not be put back; all else was.
    pub fn take_back(&mut self) -> Result<(), Error> {
        let first = self.journal.undo(&self.areas);
        // What had been opened by its path may be elsewhere now.
        self.root.forget(&ImagePath::root());
        first.map_or(Ok(()), Err)
    }

    /// As [`Placer::take_back`], and deletes what is left.
    ///
    /// # Errors
    /// As [`Placer::take_back`].
    pub fn undo(mut self) -> Result<(), Error> {
        self.undo_all()
    }

    fn undo_all(&mut self) -> Result<(), Error> {
        let mut result = self.take_back();
        for area in self.areas.drain(..) {
            result = result.and(area.clear());
        }
        result
    }

    fn number(&mut self) -> Vec<u8> {
        self.numbers += 1;
        self.numbers.to_string().into_bytes()
    }

    /// The area of a filesystem; the first is always there.
    #[expect(clippy::expect_used, reason = "indexes come from `area_of`")]
    fn area_at(&self, index: usize) -> &Area {
        self.areas.get(index).expect("an area of this placer")
    }

    fn area_of(&mut self, site: &Site) -> Result<usize, Error> {
        let shares = |area: &Area| area.root.stat().shares_mount_with(&site.ground_stat);
        if let Some(index) = self.areas.iter().position(shares) {
            return Ok(index);
        }
        let host = site::on_host(self.root, &site.ground);
        let point = self
            .mounts
            .holding(&host)
            .map_or(host.clone(), |mount| mount.point.clone());
        let area = Area::make_in(&point).map_err(|error| match error {
            Errno::ROFS | Errno::ACCESS | Errno::PERM => site.refusal(WhyNot::ReadOnlyMount),
            error => Error::file("set aside what is at", &site.path, error),
        })?;
        self.areas.push(area);
        Ok(self.areas.len() - 1)
    }

    /// Makes what is missing above the target, and gives the directory that will hold it.
    fn make_stubs(&mut self, site: &Site) -> Result<OwnedFd, Error> {
        let failed = |source: Errno| Error::file("make a mount point for", &site.path, source);
        let mut here = site.base.try_clone().map_err(|source| Error::File {
            operation: "make a mount point for",
            path: site.path.clone(),
            source,
        })?;
        self.journal.touch(&here).map_err(failed)?;
        for name in &site.missing {
            rustix::fs::mkdirat(&here, &**name, rustix::fs::Mode::RWXU).map_err(failed)?;
            let next =
                disk::open_at(&here, name, OFlags::PATH | OFlags::DIRECTORY).map_err(failed)?;
            self.journal.push(Action::Stub {
                parent: here,
                name: name.clone(),
            });
            let stand = Metadata::root_owned(Mode::DIRECTORY, kigumi_layer::Timestamp::default());
            area::dress(&next, &stand).map_err(failed)?;
            here = next;
        }
        Ok(here)
    }

    fn set_aside(&mut self, parent: &OwnedFd, name: &[u8], area: usize) -> rustix::io::Result<()> {
        let hidden = self.number();
        rename(parent, name, &self.area_at(area).root, &hidden)?;
        self.journal.push(Action::Aside {
            parent: parent.try_clone().map_err(|_none_left| Errno::MFILE)?,
            name: name.into(),
            area,
            hidden,
        });
        Ok(())
    }

    fn put(
        &mut self,
        site: &Site,
        parent: &OwnedFd,
        thing: &area::Thing,
        area: usize,
    ) -> rustix::io::Result<()> {
        rename(&thing.holder, &thing.name, parent, &site.name)?;
        self.journal.push(Action::Placed {
            parent: parent.try_clone().map_err(|_none_left| Errno::MFILE)?,
            name: site.name.clone(),
            area,
            home: thing.home()?,
        });
        Ok(())
    }

    /// The directory at the target stays what it is; its content is exchanged.
    fn refill(
        &mut self,
        site: &Site,
        parent: &OwnedFd,
        thing: &area::Thing,
        area: usize,
    ) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = disk::open_at(parent, &site.name, flags)?;
        let source = disk::open_at(&thing.holder, &thing.name, flags)?;
        let duplicate = |fd: &OwnedFd| fd.try_clone().map_err(|_none_left| Errno::MFILE);
        self.journal.push(Action::Dressed {
            directory: duplicate(&directory)?,
            metadata: area::metadata_of(&directory)?,
        });
        let mut kept = Vec::new();
        for name in disk::names(&directory)? {
            let path = site.path.join(&name);
            let is_area = self.area_at(area).is_called(&directory, &name)?;
            let stays = is_area
                || self.exclusions.is_pinned(&path)
                || self.mounts_at_or_below(&path)
                || self
                    .exclusions
                    .guards_own(&disk::stat_at(&directory, &name)?);
            if stays {
                kept.push(name);
            } else {
                self.set_aside(&directory, &name, area)?;
            }
        }
        self.journal.push(Action::Refilled {
            directory: duplicate(&directory)?,
            kept,
            area,
            home: match thing.home()? {
                Some(_) => Some(duplicate(&source)?),
                None => None,
            },
        });
        for name in disk::names(&source)? {
            rename(&source, &name, &directory, &name)?;
        }
        area::dress(&directory, &area::metadata_of(&source)?)
    }

    fn mounts_at_or_below(&self, path: &ImagePath) -> bool {
        let host = site::on_host(self.root, path);
        self.mounts.at(&host).is_some() || self.mounts.below(&host).next().is_some()
    }
}

impl Drop for Placer<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.undo_all() {
            // Whoever drops a placer has an error of its own to report.
            tracing::error!(%error, "what was mounted for a step could not be taken away");
        }
    }
}

/// Renames without replacing anything.
fn rename(from: impl AsFd, name: &[u8], to: impl AsFd, as_name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(&from, name, &to, as_name, RenameFlags::NOREPLACE) {
        // Filesystems without this flag.
        Err(Errno::INVAL | Errno::NOSYS) if disk::stat_at(&to, as_name).is_err() => {
            rustix::fs::renameat(from, name, to, as_name)
        }
        other => other,
    }
}

/// Sets the time of a directory of which only an `O_PATH` descriptor is there.
fn set_time(directory: &OwnedFd, mtime: kigumi_layer::Timestamp) -> rustix::io::Result<()> {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(directory, b".".as_slice(), &attributes::times(mtime), flags)
}
