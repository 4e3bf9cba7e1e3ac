use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// One line of `/proc/self/mountinfo`. proc(5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Where it is mounted: a literal path, never a pattern (T-SNAP-20).
    pub point: PathBuf,
    /// Which directory of its filesystem is mounted.
    pub root: PathBuf,
    /// `overlay`, `ext4`, `tmpfs`, ….
    pub filesystem: String,
    /// What is mounted, as the filesystem names it.
    pub source: OsString,
    /// Whether the mount or its filesystem is read-only.
    pub read_only: bool,
    /// Number of the mount, as `statx` gives it.
    pub id: u64,
}

/// The mounts that this process sees, in the order of the kernel: the later of two at the same point hides the earlier.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// The mounts as they are at this moment.
    ///
    /// # Errors
    /// When `/proc` is not there or what it says cannot be understood.
    pub fn read() -> Result<Self, Error> {
        let text =
            std::fs::read("/proc/self/mountinfo").map_err(|source| Error::ReadMounts { source })?;
        Self::parse(&text)
    }

    /// The mounts that `mountinfo` lists.
    ///
    /// # Errors
    /// [`Error::MalformedMount`] for a line that is not as proc(5) says.
    pub fn parse(mountinfo: &[u8]) -> Result<Self, Error> {
        mountinfo
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| parse_line(line).ok_or(Error::MalformedMount { line: index + 1 }))
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }

    /// What is mounted at `point`: the topmost, when there are several.
    pub fn at(&self, point: &Path) -> Option<&Mount> {
        self.0.iter().rev().find(|mount| mount.point == point)
    }

    /// The mount that holds `path`.
    pub fn holding(&self, path: &Path) -> Option<&Mount> {
        path.ancestors().find_map(|ancestor| self.at(ancestor))
    }

    /// The points below `directory`, without it.
    pub fn below(&self, directory: &Path) -> impl Iterator<Item = &Mount> {
        self.0
            .iter()
            .filter(move |mount| mount.point != directory && mount.point.starts_with(directory))
    }
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let _parent = number(fields.next()?)?;
    let _device = fields.next()?;
    let root = unescape(fields.next()?)?;
    let point = unescape(fields.next()?)?;
    let options = fields.next()?;
    // Any number of optional fields, up to a lone hyphen.
    fields.by_ref().find(|field| *field == b"-")?;
    let filesystem = unescape(fields.next()?)?;
    let source = unescape(fields.next()?)?;
    let super_options = fields.next()?;
    if point.first() != Some(&b'/') {
        return None;
    }
    Some(Mount {
        point: PathBuf::from(OsString::from_vec(point)),
        root: PathBuf::from(OsString::from_vec(root)),
        filesystem: String::from_utf8_lossy(&filesystem).into_owned(),
        source: OsString::from_vec(source),
        read_only: has_option(options, b"ro") || has_option(super_options, b"ro"),
        id,
    })
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn has_option(options: &[u8], name: &[u8]) -> bool {
    options
        .split(|byte| *byte == b',')
        .any(|option| option == name)
}

/// The kernel writes blank, tab, newline, backslash and `#` as three octal digits.
fn unescape(field: &[u8]) -> Option<Vec<u8>> {
    let mut clear = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'\\' {
            clear.push(byte);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(3)?;
        let value = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?;
        clear.push(value);
        rest = tail;
    }
    Some(clear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped_and_literal_t_snap_20() {
        let text = b"22 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/a\n\
            23 22 0:21 / /a\\040b\\134c\\012d/* ro,nosuid shared:7 master:1 - tmpfs tm\\011pfs rw\n";
        let mounts = Mounts::parse(text).unwrap();
        let points: Vec<_> = mounts.iter().map(|mount| mount.point.clone()).collect();
        assert_eq!(points, [PathBuf::from("/"), PathBuf::from("/a b\\c\nd/*")]);
        assert!(mounts.iter().nth(1).unwrap().read_only);
        assert_eq!(mounts.at(Path::new("/")).unwrap().filesystem, "overlay");
    }

    #[test]
    fn malformed_lines_are_refused_with_their_number() {
        let cases: [&[u8]; 6] = [
            b"x 1 0:20 / / rw - overlay overlay rw",
            b"22 1 0:20 / / rw overlay overlay rw",
            b"22 1 0:20 / relative rw - overlay overlay rw",
            b"22 1 0:20 / /a\\04 rw - overlay overlay rw",
            b"22 1 0:20 / /a\\999 rw - overlay overlay rw",
            b"22 1 0:20 / / rw - overlay",
        ];
        for case in cases {
            let mut text = b"22 1 0:20 / / rw - overlay overlay rw\n".to_vec();
            text.extend_from_slice(case);
            assert!(
                matches!(Mounts::parse(&text), Err(Error::MalformedMount { line: 2 })),
                "{}",
                case.escape_ascii()
            );
        }
    }

    #[test]
    fn the_later_mount_at_a_point_hides_the_earlier() {
        let text = b"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /m rw - ext4 b rw\n3 2 0:3 / /m rw - tmpfs c rw\n";
        let mounts = Mounts::parse(text).unwrap();
        assert_eq!(mounts.at(Path::new("/m")).unwrap().id, 3);
        assert_eq!(mounts.holding(Path::new("/m/x/y")).unwrap().id, 3);
        assert_eq!(mounts.holding(Path::new("/mm")).unwrap().id, 1);
        assert_eq!(mounts.below(Path::new("/")).count(), 2);
    }
}
