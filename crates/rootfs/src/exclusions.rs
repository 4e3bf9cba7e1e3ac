use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use kigumi_layer::ImagePath;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::disk::{self, Stat};
use crate::{Error, Mounts, RootDir};

/// What the caller wants left alone, besides mounts.
#[derive(Clone, Default, Debug)]
pub struct Protection {
    /// Files and directories of ours, by their paths on the host: the executor's directories, work directory, context, Docker
    /// configuration, cache, output files. What lies outside the root needs no protection and is passed over; what does not exist
    /// yet is excluded by its name.
    pub ours: Vec<PathBuf>,
    /// What `--ignore-path` names.
    pub ignored: Vec<ImagePath>,
    /// Directories that somebody stands in: what is in them is nobody's, they themselves are never removed, renamed or replaced.
    pub anchors: Vec<PathBuf>,
}

/// A name that makes its directory one that may not be removed, renamed or replaced. Nothing of this name ever exists.
const ANCHOR: &[u8] = b".kigumi-anchor";

/// Which paths of a root belong to somebody else: mount points, what is ours, and what the user wants ignored.
///
/// Directories of ours are known by path *and* by inode, and held open: a RUN that renames one does not lay it bare (T-SNAP-13, hostile-input rule D7).
#[derive(Debug)]
pub struct Exclusions {
    root: PathBuf,
    root_stat: Stat,
    held: Vec<OwnedFd>,
    /// Few, and asked for with every file of the root.
    inodes: BTreeSet<(u64, u64)>,
    /// By name alone: `--ignore-path`, and the names under which our own things were given.
    named: Vec<ImagePath>,
    anchors: Vec<ImagePath>,
    /// Topmost paths only, so that each has at most one neighbour to be compared with.
    paths: BTreeSet<ImagePath>,
}

impl Exclusions {
    /// Reads the mounts below `root` and finds what is protected there.
    ///
    /// # Errors
    /// When the mounts cannot be read, a protected path exists and cannot be looked at, or the root itself would be protected.
    pub fn new(root: &RootDir, protection: &Protection) -> Result<Self, Error> {
        let mut exclusions = Self {
            root: root.host_path().to_owned(),
            root_stat: *root.stat(),
            held: Vec::new(),
            inodes: BTreeSet::new(),
            named: protection.ignored.clone(),
            anchors: Vec::new(),
            paths: BTreeSet::new(),
        };
        for path in &protection.ours {
            exclusions.protect(path)?;
        }
        for path in &protection.anchors {
            exclusions.anchor(path);
        }
        if exclusions.named.iter().any(ImagePath::is_root) {
            return Err(Error::UnfitRoot {
                path: exclusions.root,
                reason: "it is itself among the protected or ignored paths",
            });
        }
        exclusions.refresh()?;
        Ok(exclusions)
    }

    fn protect(&mut self, path: &Path) -> Result<(), Error> {
        let host = |source: std::io::Error| Error::OpenHost {
            path: path.to_owned(),
            source,
        };
        let absolute = std::path::absolute(path).map_err(host)?;
        self.named.extend(self.inside(&absolute));
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(&absolute, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(host(error.into())),
        };
        let real = current_path(&fd).map_err(host)?;
        let Some(inside) = self.inside(&real) else {
            return Ok(());
        };
        self.named.push(inside);
        let stat = disk::stat_of_fd(&fd).map_err(|error| host(error.into()))?;
        self.inodes.insert(stat.inode());
        self.held.push(fd);
        Ok(())
    }

    fn anchor(&mut self, path: &Path) {
        // What is not there, or is not a directory, nobody stands in.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let real = rustix::fs::open(path, flags, Mode::empty())
            .map_err(Into::into)
            .and_then(|fd| current_path(&fd));
        let inside = real.ok().and_then(|real| self.inside(&real));
        if let Some(inside) = inside.filter(|path| !path.is_root()) {
            self.named.push(inside.join(ANCHOR));
            self.anchors.push(inside);
        }
    }

    /// Reads the mounts anew, and follows protected directories that were renamed.
    ///
    /// # Errors
    /// When the mounts cannot be read.
    pub fn refresh(&mut self) -> Result<(), Error> {
        let mounts = Mounts::read()?;
        let mut all: Vec<ImagePath> = self.named.clone();
        all.extend(
            mounts
                .below(&self.root)
                .filter_map(|mount| self.inside(&mount.point)),
        );
        for fd in &self.held {
            let now = current_path(fd).map_err(|source| Error::ReadMounts { source })?;
            all.extend(self.inside(&now).filter(|path| !path.is_root()));
        }
        all.sort();
        self.paths.clear();
        for path in all {
            if !self.is_excluded(&path) {
                self.paths.insert(path);
            }
        }
        Ok(())
    }

    /// The path inside the root of a path on the host; `None` outside.
    fn inside(&self, path: &Path) -> Option<ImagePath> {
        let below = path.strip_prefix(&self.root).ok()?;
        ImagePath::parse(below.as_os_str().as_bytes()).ok()
    }

    /// Whether `path` or a directory above it is excluded: never in a layer, never whited out, never written or removed.
    pub fn is_excluded(&self, path: &ImagePath) -> bool {
        self.paths
            .range(..=path)
            .next_back()
            .is_some_and(|excluded| path.starts_with(excluded))
    }

    /// Whether something below `path` is excluded, so that it may not be removed, renamed or replaced by another type.
    pub fn is_pinned(&self, path: &ImagePath) -> bool {
        let after = (std::ops::Bound::Excluded(path), std::ops::Bound::Unbounded);
        self.paths
            .range::<ImagePath, _>(after)
            .next()
            .is_some_and(|excluded| excluded.starts_with(path))
    }

    /// Whether a directory stays although nothing in it does.
    pub(crate) fn is_anchor(&self, path: &ImagePath) -> bool {
        self.anchors.contains(path)
    }

    /// The topmost excluded paths.
    pub fn iter(&self) -> impl Iterator<Item = &ImagePath> {
        self.paths.iter()
    }

    /// Whether an entry is one of ours, under whatever name.
    pub(crate) fn guards_own(&self, stat: &Stat) -> bool {
        self.inodes.contains(&stat.inode())
    }

    /// Whether an entry is one of ours under whatever name, or on another mount than the root.
    pub(crate) fn guards(&self, stat: &Stat) -> bool {
        self.inodes.contains(&stat.inode()) || !stat.shares_mount_with(&self.root_stat)
    }
}

/// Where an open file is now; the kernel follows renames.
fn current_path(fd: &OwnedFd) -> std::io::Result<PathBuf> {
    std::fs::read_link(disk::proc_path(fd.as_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text.as_bytes()).unwrap()
    }

    fn exclusions(directory: &Path, ours: &[&str], ignored: &[&str]) -> Exclusions {
        let root = RootDir::open(directory).unwrap();
        let protection = Protection {
            ours: ours.iter().map(|name| directory.join(name)).collect(),
            ignored: ignored.iter().map(|name| path(name)).collect(),
            ..Protection::default()
        };
        Exclusions::new(&root, &protection).unwrap()
    }

    #[test]
    fn what_is_excluded_and_what_is_pinned() {
        let root = tempfile::tempdir().unwrap();
        let found = exclusions(root.path(), &[], &["/a/b", "/a/b/c", "/x-y", "/z*"]);
        let cases = [
            ("/", false, true),
            ("/a", false, true),
            ("/a/b", true, false),
            ("/a/b/c", true, false),
            ("/a/b/c/d", true, false),
            ("/a/bb", false, false),
            ("/a/a", false, false),
            ("/x", false, false),
            ("/x-y", true, false),
            ("/x-y/q", true, false),
            ("/zz", false, false),
            ("/z*", true, false),
        ];
        for (name, excluded, pinned) in cases {
            assert_eq!(found.is_excluded(&path(name)), excluded, "excluded {name}");
            assert_eq!(found.is_pinned(&path(name)), pinned, "pinned {name}");
        }
        assert_eq!(found.iter().count(), 3);
    }

    #[test]
    fn a_protected_directory_stays_protected_when_it_is_renamed_or_reached_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("opt/ours")).unwrap();
        std::os::unix::fs::symlink("opt", root.path().join("link")).unwrap();
        let mut found = exclusions(root.path(), &["link/ours"], &[]);
        assert!(found.is_excluded(&path("/opt/ours/file")));
        assert!(found.is_excluded(&path("/link/ours")));
        rustix::fs::rename(root.path().join("opt/ours"), root.path().join("moved")).unwrap();
        found.refresh().unwrap();
        assert!(found.is_excluded(&path("/moved/file")));
        assert!(found.is_excluded(&path("/opt/ours")));
    }

    #[test]
    fn what_does_not_exist_yet_is_excluded_by_name_and_what_is_outside_is_not() {
        let root = tempfile::tempdir().unwrap();
        let found = exclusions(root.path(), &["out/digest", "/elsewhere"], &[]);
        assert!(found.is_excluded(&path("/out/digest")));
        assert!(!found.is_excluded(&path("/elsewhere")));
    }

    #[test]
    fn the_root_itself_cannot_be_protected() {
        let root = tempfile::tempdir().unwrap();
        let protection = Protection {
            ours: vec![root.path().to_owned()],
            ..Protection::default()
        };
        let opened = RootDir::open(root.path()).unwrap();
        assert!(matches!(
            Exclusions::new(&opened, &protection),
            Err(Error::UnfitRoot { .. })
        ));
    }
}
