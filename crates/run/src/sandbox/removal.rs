//! Taking the temporary root away.

use crate::Error;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Removes `base` with the caller's function, unless something is mounted at or below it here.
pub(super) fn remove(base: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> Result<(), Error> {
    let failed = |source| Error::SandboxRemove {
        path: base.to_owned(),
        source,
    };
    let table = std::fs::read("/proc/self/mountinfo").map_err(failed)?;
    // Mount points are shown without symlinks.
    let real = base.canonicalize().map_err(failed)?;
    let mounted = mount_points(&table).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
    if let Some(mount) = mounted.into_iter().find(|mount| mount.starts_with(&real)) {
        return Err(Error::SandboxMounted {
            path: base.to_owned(),
            mount,
        });
    }
    remove(base).map_err(failed)
}

/// The mount points of a mountinfo table (`proc_pid_mountinfo(5)`): the fifth field. `None` when a
/// line has no such field: then nothing is known.
fn mount_points(table: &[u8]) -> Option<Vec<PathBuf>> {
    let lines = table
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| line.split(|byte| *byte == b' ').nth(4).map(unescape))
        .collect()
}

/// Space, tab, line end and backslash are written as `\` and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, tail)) = rest.split_first() {
        let escaped = tail
            .split_first_chunk::<3>()
            .filter(|_| *byte == b'\\')
            .and_then(octal);
        let (value, after) = escaped.unwrap_or((*byte, tail));
        bytes.push(value);
        rest = after;
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn octal<'a>((digits, after): (&[u8; 3], &'a [u8])) -> Option<(u8, &'a [u8])> {
    let digits = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(digits, 8)
        .ok()
        .map(|value| (value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes_undone() {
        let table = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            23 27 0:22 /a /with\\040space\\134and\\012line rw - ext4 /dev/x rw\n";
        let expected = [
            PathBuf::from("/proc"),
            PathBuf::from("/with space\\and\nline"),
        ];
        assert_eq!(mount_points(table).unwrap(), expected);
        assert_eq!(mount_points(b"22 27 0:21\n"), None);
    }

    #[test]
    fn an_incomplete_escape_is_left_as_it_is() {
        assert_eq!(unescape(b"/a\\04"), PathBuf::from("/a\\04"));
        assert_eq!(unescape(b"/a\\999"), PathBuf::from("/a\\999"));
    }

    #[test]
    fn a_directory_with_a_mount_in_it_is_not_removed() {
        // `/` is a mount point above everything, `/proc` one that is itself mounted.
        let removed = std::cell::Cell::new(false);
        let error = remove(Path::new("/proc"), |_| {
            removed.set(true);
            Ok(())
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "sandbox: `/proc` is not removed: `/proc` is a mount point"
        );
        assert!(!removed.get());
    }

    #[test]
    fn a_directory_without_mounts_is_removed_by_the_given_function() {
        let dir = tempfile::tempdir().unwrap();
        let seen = std::cell::RefCell::new(Vec::new());
        remove(dir.path(), |path| {
            seen.borrow_mut().push(path.to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen.into_inner(), [dir.path()]);
    }
}
