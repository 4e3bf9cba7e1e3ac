use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use kigumi_layer::ImagePath;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::plan::{Facts, Shape, WhyNot};
use crate::disk::{self, Stat};
use crate::{Error, Exclusions, Mounts, RootDir};

/// As many links as Linux follows (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// A target, as it was found.
#[derive(Debug)]
pub struct Site {
    /// Where the target really is: no link on the way.
    pub(super) path: ImagePath,
    /// The deepest directory above the target that exists.
    pub(super) base: OwnedFd,
    /// The directory in which names will change, and the mount that it is on: the target itself if the pod mounts it, else the base.
    pub(super) ground: ImagePath,
    pub(super) ground_stat: Stat,
    /// Directories between it and the target that do not.
    pub(super) missing: Vec<Box<[u8]>>,
    pub(super) name: Box<[u8]>,
    pub(super) facts: Facts,
}

impl Site {
    /// Where the target really is: no link on the way.
    pub fn path(&self) -> &ImagePath {
        &self.path
    }

    /// Whether the pod mounts a directory at the target.
    pub fn is_mounted_directory(&self) -> bool {
        self.facts.is_mount && self.facts.found == Some(Shape::Directory)
    }

    /// Whether a directory there has to stay, because the pod mounts it or something below it.
    pub fn is_bound(&self) -> bool {
        self.facts.is_mount || self.facts.holds_mounts
    }

    pub(super) fn refusal(&self, why: WhyNot) -> Error {
        refusal(&self.path, why)
    }
}

fn refusal(path: &ImagePath, why: WhyNot) -> Error {
    Error::CannotPlace {
        path: path.clone(),
        why,
    }
}

/// A directory on the way, opened.
struct Step {
    name: Box<[u8]>,
    fd: OwnedFd,
}

/// Walks to a target as a process with this root would. Nothing runs in the root meanwhile, and still every component is opened by itself and no link is left
/// to the kernel.
struct Walk<'a> {
    root: &'a RootDir,
    exclusions: &'a Exclusions,
    steps: Vec<Step>,
    missing: Vec<Box<[u8]>>,
    todo: VecDeque<Box<[u8]>>,
    links: usize,
}

pub(super) fn survey(
    root: &RootDir,
    exclusions: &Exclusions,
    mounts: &Mounts,
    target: &ImagePath,
) -> Result<Site, Error> {
    let mut walk = Walk {
        root,
        exclusions,
        steps: Vec::new(),
        missing: Vec::new(),
        todo: target.components().map(Into::into).collect(),
        links: 0,
    };
    let failed = |source: Errno| Error::file("find the mount point", target, source);
    let mut last = None;
    while let Some(name) = walk.todo.pop_front() {
        match &*name {
            b"" | b"." => {}
            b".." => walk.up(),
            _ => last = walk.step(name).map_err(|stop| stop.at(target, failed))?,
        }
    }
    let (name, found) = match last {
        Some(Last { name, stat }) => (name, Some(stat)),
        None => match walk.missing.pop() {
            Some(name) => (name, None),
            // The way ended at a directory that was gone through: `..`, or a link to the root.
            None => walk.step_back().map_err(|stop| stop.at(target, failed))?,
        },
    };
    let base = walk.base().map_err(failed)?;
    let base_path = walk
        .steps
        .iter()
        .fold(ImagePath::root(), |path, step| path.join(&step.name));
    let path = walk
        .missing
        .iter()
        .fold(base_path.clone(), |path, name| path.join(name))
        .join(&name);
    let host = on_host(root, &path);
    let mounted = found.filter(|_| mounts.at(&host).is_some());
    let facts = Facts {
        found: found.map(|stat| shape(&stat)),
        is_mount: mounted.is_some(),
        holds_mounts: exclusions.is_pinned(&path) || mounts.below(&host).next().is_some(),
    };
    let (ground, ground_stat) = match mounted.filter(Stat::is_directory) {
        Some(stat) => (path.clone(), stat),
        None => (base_path, disk::stat_of_fd(&base).map_err(failed)?),
    };
    Ok(Site {
        ground,
        ground_stat,
        path,
        base,
        missing: walk.missing,
        name,
        facts,
    })
}

/// Where a path of the root is for the rest of the machine.
pub(super) fn on_host(root: &RootDir, path: &ImagePath) -> PathBuf {
    root.host_path().join(OsStr::from_bytes(path.as_relative()))
}

fn shape(stat: &Stat) -> Shape {
    if stat.is_directory() {
        Shape::Directory
    } else {
        Shape::Other
    }
}

/// The target itself, when it is there.
struct Last {
    name: Box<[u8]>,
    stat: Stat,
}

enum Stop {
    Refused(WhyNot),
    Disk(Errno),
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        Self::Disk(error)
    }
}

impl Stop {
    fn at(self, target: &ImagePath, failed: impl Fn(Errno) -> Error) -> Error {
        match self {
            Self::Refused(why) => refusal(target, why),
            Self::Disk(error) => failed(error),
        }
    }
}

impl Walk<'_> {
    fn base(&self) -> rustix::io::Result<OwnedFd> {
        match self.steps.last() {
            Some(step) => step.fd.try_clone().map_err(|_none_left| Errno::MFILE),
            None => disk::open_at(self.root, b".", OFlags::PATH | OFlags::DIRECTORY),
        }
    }

    fn up(&mut self) {
        if self.missing.pop().is_none() {
            self.steps.pop();
        }
    }

    /// The last directory that was gone through, as the target.
    fn step_back(&mut self) -> Result<(Box<[u8]>, Option<Stat>), Stop> {
        let Some(step) = self.steps.pop() else {
            return Err(Stop::Refused(WhyNot::Root));
        };
        let stat = disk::stat_of_fd(&step.fd)?;
        Ok((step.name, Some(stat)))
    }

    fn step(&mut self, name: Box<[u8]>) -> Result<Option<Last>, Stop> {
        if !self.missing.is_empty() {
            self.missing.push(name);
            return Ok(None);
        }
        let here = self.base()?;
        let stat = match disk::stat_at(&here, &name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => {
                self.missing.push(name);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if self.exclusions.guards_own(&stat) {
            return Err(Stop::Refused(WhyNot::Ours));
        }
        if stat.identity.kind() == FileType::Symlink {
            self.follow(&here, &name)?;
            return Ok(None);
        }
        if self.todo.iter().all(|left| matches!(&**left, b"" | b".")) {
            return Ok(Some(Last { name, stat }));
        }
        if !stat.is_directory() {
            return Err(Stop::Refused(WhyNot::NotADirectory));
        }
        let fd = disk::open_at(&here, &name, OFlags::PATH | OFlags::DIRECTORY)?;
        self.steps.push(Step { name, fd });
        Ok(None)
    }

    fn follow(&mut self, here: &OwnedFd, name: &[u8]) -> Result<(), Stop> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Stop::Refused(WhyNot::LinkLoop));
        }
        let text = rustix::fs::readlinkat(here, name, Vec::new())?;
        let text = text.to_bytes();
        if text.first() == Some(&b'/') {
            self.steps.clear();
        }
        for component in text.split(|byte| *byte == b'/').rev() {
            self.todo.push_front(component.into());
        }
        Ok(())
    }
}
