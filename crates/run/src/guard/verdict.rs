//! What a read-only mount says to a call. Pure.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::calls::Change;

/// Directories and files that a process must not change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadOnly {
    /// What must not be changed: absolute, without links.
    pub paths: Vec<PathBuf>,
    /// What lies below it and may be changed all the same.
    pub except: Vec<PathBuf>,
}

/// What is at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Looked {
    /// Something, by its real path.
    There { path: PathBuf, kind: Kind },
    /// Nothing; where it would be.
    Missing { parent: PathBuf },
    /// The kernel will find an error of its own.
    Nowhere,
}

/// As far as writing to it is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    File,
    Directory,
    /// Devices, fifos and sockets: writing to one changes no file system.
    Special,
}

impl ReadOnly {
    /// Whether there is nothing to watch.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The protected path that holds `path`.
    fn holding(&self, path: &Path) -> Option<&Path> {
        let innermost = |paths: &'_ [PathBuf]| -> Option<usize> {
            let holding = paths.iter().filter(|known| path.starts_with(known));
            holding.map(|known| known.components().count()).max()
        };
        let held = innermost(&self.paths)?;
        if innermost(&self.except).is_some_and(|except| except >= held) {
            return None;
        }
        let mut paths = self.paths.iter();
        paths
            .find(|known| path.starts_with(known) && known.components().count() == held)
            .map(PathBuf::as_path)
    }

    fn is_mount_point(&self, path: &Path) -> bool {
        self.paths.iter().any(|known| known == path)
    }

    /// The error that a call for one entry gets, in the order of the kernel's own checks; none if it may go on.
    pub(super) fn one(&self, change: Change, looked: &Looked) -> Option<Errno> {
        let (path, kind) = match looked {
            Looked::There { path, kind } => (path, *kind),
            Looked::Missing { parent } => {
                let makes = match change {
                    // What is not there cannot be removed, but the kernel looks at the mount first.
                    Change::Make | Change::Remove => true,
                    Change::Open(flags) => has(flags, libc::O_CREAT),
                    Change::Alter => false,
                };
                return (makes && self.holding(parent).is_some()).then_some(Errno::ROFS);
            }
            Looked::Nowhere => return None,
        };
        if change == Change::Remove && self.is_mount_point(path) {
            return Some(Errno::BUSY);
        }
        let changes = match change {
            Change::Make => false,
            Change::Alter | Change::Remove => true,
            Change::Open(flags) => opens_for_writing(flags, kind),
        };
        (changes && self.holding(path).is_some()).then_some(Errno::ROFS)
    }

    /// The error that a rename or a hard link gets: from one mount to another there is none.
    pub(super) fn two(&self, from: &Looked, to: &Looked) -> Option<Errno> {
        let at = |looked: &Looked| match looked {
            Looked::There { path, .. } => self.holding(path).map(Path::to_owned),
            Looked::Missing { parent } => self.holding(parent).map(Path::to_owned),
            Looked::Nowhere => None,
        };
        if matches!(from, Looked::Nowhere) || matches!(to, Looked::Nowhere) {
            return None;
        }
        for looked in [from, to] {
            if let Looked::There { path, .. } = looked
                && self.is_mount_point(path)
            {
                return Some(Errno::BUSY);
            }
        }
        match (at(from), at(to)) {
            (None, None) => None,
            (Some(from), Some(to)) if from == to => Some(Errno::ROFS),
            _ => Some(Errno::XDEV),
        }
    }
}

fn has(flags: u64, flag: i32) -> bool {
    flags & u64::from(flag.unsigned_abs()) != 0
}

/// Whether an open of what is there would be refused by a read-only file system.
fn opens_for_writing(flags: u64, kind: Kind) -> bool {
    // EEXIST, which comes first.
    let fails = has(flags, libc::O_CREAT) && has(flags, libc::O_EXCL);
    let unnamed = flags & u64::from(libc::O_TMPFILE.unsigned_abs())
        == u64::from(libc::O_TMPFILE.unsigned_abs());
    let writes = has(flags, libc::O_WRONLY | libc::O_RDWR | libc::O_TRUNC);
    match kind {
        Kind::File => writes && !fails && !has(flags, libc::O_PATH),
        // EISDIR, save for a file without a name in it.
        Kind::Directory => unnamed,
        Kind::Special => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(flags: i32) -> Change {
        Change::Open(u64::from(flags.unsigned_abs()))
    }

    fn there(path: &str, kind: Kind) -> Looked {
        Looked::There {
            path: path.into(),
            kind,
        }
    }

    fn missing(parent: &str) -> Looked {
        Looked::Missing {
            parent: parent.into(),
        }
    }

    fn mounts() -> ReadOnly {
        ReadOnly {
            paths: vec!["/m".into(), "/f".into(), "/m/rw/ro".into()],
            except: vec!["/m/rw".into()],
        }
    }

    /// What a kernel says of a read-only mount at `/m`, in which something else is mounted at `/m/rw`.
    #[test]
    fn a_call_gets_the_error_that_a_read_only_mount_would_give() {
        use Change::{Alter, Make, Remove};
        use Kind::{Directory, File, Special};
        let (write, create, exclusive, truncate, path, temporary) = (
            flags(libc::O_WRONLY),
            flags(libc::O_CREAT),
            flags(libc::O_CREAT | libc::O_EXCL | libc::O_RDWR),
            flags(libc::O_TRUNC),
            flags(libc::O_PATH | libc::O_RDWR),
            flags(libc::O_TMPFILE | libc::O_RDWR),
        );
        let rofs = Some(Errno::ROFS);
        let table = [
            (write, there("/m/a", File), rofs),
            (write, there("/f", File), rofs),
            (write, there("/mm", File), None),
            (write, there("/m/pipe", Special), None),
            (write, there("/m/d", Directory), None),
            (write, missing("/m"), None),
            (truncate, there("/m/a", File), rofs),
            (path, there("/m/a", File), None),
            (temporary, there("/m/d", Directory), rofs),
            (temporary, there("/d", Directory), None),
            (create, there("/m/a", File), None),
            (create, missing("/m/d"), rofs),
            (create, missing("/d"), None),
            (exclusive, there("/m/a", File), None),
            (exclusive, missing("/m"), rofs),
            (Make, there("/m/d", Directory), None),
            (Make, missing("/m"), rofs),
            (Alter, there("/m/a", File), rofs),
            (Alter, there("/m", Directory), rofs),
            (Alter, missing("/m"), None),
            (Remove, there("/m/a", File), rofs),
            (Remove, missing("/m"), rofs),
            (Remove, there("/m", Directory), Some(Errno::BUSY)),
            (Remove, there("/f", File), Some(Errno::BUSY)),
            (Remove, there("/other", File), None),
            (write, there("/m/rw/x", File), None),
            (Make, missing("/m/rw"), None),
            (write, there("/m/rw/ro/x", File), rofs),
            (Alter, Looked::Nowhere, None),
        ];
        for (change, looked, expected) in table {
            assert_eq!(
                mounts().one(change, &looked),
                expected,
                "{change:?} {looked:?}"
            );
        }
    }

    #[test]
    fn a_rename_over_the_edge_of_a_mount_is_one_between_file_systems() {
        use Kind::{Directory, File};
        let table = [
            (there("/m/a", File), missing("/m"), Some(Errno::ROFS)),
            (there("/m/a", File), missing("/"), Some(Errno::XDEV)),
            (there("/a", File), missing("/m"), Some(Errno::XDEV)),
            (there("/a", File), there("/f", File), Some(Errno::BUSY)),
            (there("/m", Directory), missing("/"), Some(Errno::BUSY)),
            (there("/a", File), missing("/d"), None),
            (Looked::Nowhere, missing("/m"), None),
        ];
        for (from, to, expected) in table {
            assert_eq!(mounts().two(&from, &to), expected, "{from:?} {to:?}");
        }
    }
}
