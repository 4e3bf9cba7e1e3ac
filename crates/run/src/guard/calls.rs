//! Which system calls change files, and which of their arguments say what. Pure.

use libc::c_long;

/// What a call wants to do to an entry of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// To what is there: its content, its attributes, or the question whether that would be allowed.
    Alter,
    /// Open it, with these flags of open(2).
    Open(u64),
    /// Make it; an error if it is there.
    Make,
    /// Take its name away, or give it to something else.
    Remove,
}

/// An entry that a call is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// What relative paths start from: a descriptor, or `AT_FDCWD`.
    pub(super) directory: i32,
    /// The address of the path; without one, the descriptor itself is meant.
    pub(super) path: Option<u64>,
    /// Whether a link in the last component is followed.
    pub(super) follows: bool,
}

/// What a call asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// One entry is changed.
    One(Change, Place),
    /// An entry gets the name of another, or one more name.
    Two(Place, Place),
    /// An open whose flags are in memory: `struct open_how`.
    OpenHow { place: Place, how: u64 },
}

/// When a call is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum When {
    /// Always.
    Always,
    /// If an argument has one of these bits.
    Bits { argument: u8, bits: u32 },
}

/// How the arguments of a call are to be read.
#[derive(Clone, Copy)]
enum Shape {
    /// `path`
    Path(Change, bool),
    /// `directory, path`
    At(Change, bool),
    /// `directory, path, …`, with `AT_SYMLINK_NOFOLLOW` and `AT_EMPTY_PATH` in this argument.
    AtFlags(Change, usize),
    /// `descriptor`
    Descriptor,
    /// `path, flags`
    Open,
    /// `directory, path, flags`
    OpenAt,
    /// `directory, path, how`
    OpenHow,
    /// `path, path`
    TwoPaths,
    /// `directory, path, directory, path`
    TwoAt,
    /// `text, path`
    Symlink,
    /// `text, directory, path`
    SymlinkAt,
}

/// A call, when it is looked at, and how it is read.
type Row = (c_long, When, Shape);

const ALWAYS: When = When::Always;

/// The bits by which an open changes something or could: `O_WRONLY`, `O_RDWR`, `O_CREAT`, `O_TRUNC`.
const WRITING: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC).unsigned_abs();
const W_OK: u32 = libc::W_OK.unsigned_abs();

const fn bits(argument: u8, bits: u32) -> When {
    When::Bits { argument, bits }
}

/// Numbers that libc does not know yet: the same on every architecture.
const FCHMODAT2: c_long = 452;
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;

const CALLS: &[Row] = &[
    (libc::SYS_openat, bits(2, WRITING), Shape::OpenAt),
    (libc::SYS_openat2, ALWAYS, Shape::OpenHow),
    (libc::SYS_truncate, ALWAYS, Shape::Path(Change::Alter, true)),
    (libc::SYS_mkdirat, ALWAYS, Shape::At(Change::Make, false)),
    (libc::SYS_mknodat, ALWAYS, Shape::At(Change::Make, false)),
    (libc::SYS_unlinkat, ALWAYS, Shape::At(Change::Remove, false)),
    (libc::SYS_renameat2, ALWAYS, Shape::TwoAt),
    (libc::SYS_linkat, ALWAYS, Shape::TwoAt),
    (libc::SYS_symlinkat, ALWAYS, Shape::SymlinkAt),
    (libc::SYS_fchmod, ALWAYS, Shape::Descriptor),
    (libc::SYS_fchmodat, ALWAYS, Shape::At(Change::Alter, true)),
    (FCHMODAT2, ALWAYS, Shape::AtFlags(Change::Alter, 3)),
    (libc::SYS_fchown, ALWAYS, Shape::Descriptor),
    (libc::SYS_fchownat, ALWAYS, Shape::AtFlags(Change::Alter, 4)),
    (
        libc::SYS_utimensat,
        ALWAYS,
        Shape::AtFlags(Change::Alter, 3),
    ),
    (libc::SYS_setxattr, ALWAYS, Shape::Path(Change::Alter, true)),
    (
        libc::SYS_lsetxattr,
        ALWAYS,
        Shape::Path(Change::Alter, false),
    ),
    (libc::SYS_fsetxattr, ALWAYS, Shape::Descriptor),
    (SETXATTRAT, ALWAYS, Shape::AtFlags(Change::Alter, 2)),
    (
        libc::SYS_removexattr,
        ALWAYS,
        Shape::Path(Change::Alter, true),
    ),
    (
        libc::SYS_lremovexattr,
        ALWAYS,
        Shape::Path(Change::Alter, false),
    ),
    (libc::SYS_fremovexattr, ALWAYS, Shape::Descriptor),
    (REMOVEXATTRAT, ALWAYS, Shape::AtFlags(Change::Alter, 2)),
    (
        libc::SYS_faccessat,
        bits(2, W_OK),
        Shape::At(Change::Alter, true),
    ),
    (
        libc::SYS_faccessat2,
        bits(2, W_OK),
        Shape::AtFlags(Change::Alter, 3),
    ),
];

/// Calls of before there were directory descriptors.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[Row] = &[
    (libc::SYS_open, bits(1, WRITING), Shape::Open),
    (
        libc::SYS_creat,
        ALWAYS,
        Shape::Path(Change::Open(CREAT), true),
    ),
    (libc::SYS_mkdir, ALWAYS, Shape::Path(Change::Make, false)),
    (libc::SYS_mknod, ALWAYS, Shape::Path(Change::Make, false)),
    (libc::SYS_rmdir, ALWAYS, Shape::Path(Change::Remove, false)),
    (libc::SYS_unlink, ALWAYS, Shape::Path(Change::Remove, false)),
    (libc::SYS_rename, ALWAYS, Shape::TwoPaths),
    (libc::SYS_renameat, ALWAYS, Shape::TwoAt),
    (libc::SYS_link, ALWAYS, Shape::TwoPaths),
    (libc::SYS_symlink, ALWAYS, Shape::Symlink),
    (libc::SYS_chmod, ALWAYS, Shape::Path(Change::Alter, true)),
    (libc::SYS_chown, ALWAYS, Shape::Path(Change::Alter, true)),
    (libc::SYS_lchown, ALWAYS, Shape::Path(Change::Alter, false)),
    (libc::SYS_utime, ALWAYS, Shape::Path(Change::Alter, true)),
    (libc::SYS_utimes, ALWAYS, Shape::Path(Change::Alter, true)),
    (libc::SYS_futimesat, ALWAYS, Shape::At(Change::Alter, true)),
    (
        libc::SYS_access,
        bits(1, W_OK),
        Shape::Path(Change::Alter, true),
    ),
];

#[cfg(target_arch = "x86_64")]
const CREAT: u64 = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC).unsigned_abs() as u64;

#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[Row] = &[];

/// Every call that is looked at, with its number.
pub(super) fn looked_at() -> impl Iterator<Item = (u32, When)> {
    rows().filter_map(|(number, when, _)| Some((u32::try_from(*number).ok()?, *when)))
}

fn rows() -> impl Iterator<Item = &'static Row> {
    CALLS.iter().chain(OLD_CALLS)
}

/// What a call asks for; `None` for one that is not looked at.
pub(super) fn read(number: i32, arguments: &[u64; 6]) -> Option<Request> {
    let (_, _, shape) = rows().find(|(known, _, _)| *known == c_long::from(number))?;
    Some(shape.request(arguments))
}

/// A descriptor is a 32-bit number, whatever is in the upper half of the register.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the kernel truncates it, too"
)]
fn descriptor(argument: u64) -> i32 {
    argument as i32
}

fn at(directory: u64, path: u64, follows: bool) -> Place {
    Place {
        directory: descriptor(directory),
        path: (path != 0).then_some(path),
        follows,
    }
}

fn here(path: u64, follows: bool) -> Place {
    Place {
        directory: libc::AT_FDCWD,
        path: Some(path),
        follows,
    }
}

impl Shape {
    fn request(self, arguments: &[u64; 6]) -> Request {
        let [first, second, third, fourth, ..] = *arguments;
        match self {
            Self::Path(change, follows) => Request::One(change, here(first, follows)),
            Self::At(change, follows) => Request::One(change, at(first, second, follows)),
            Self::AtFlags(change, flags) => {
                let flags = arguments.get(flags).copied().unwrap_or_default();
                let nofollow = u64::from(libc::AT_SYMLINK_NOFOLLOW.unsigned_abs());
                Request::One(change, at(first, second, flags & nofollow == 0))
            }
            Self::Descriptor => Request::One(Change::Alter, at(first, 0, true)),
            Self::Open => opened(second, here(first, true)),
            Self::OpenAt => opened(third, at(first, second, true)),
            Self::OpenHow => Request::OpenHow {
                place: at(first, second, true),
                how: third,
            },
            Self::TwoPaths => Request::Two(here(first, false), here(second, false)),
            Self::TwoAt => Request::Two(at(first, second, false), at(third, fourth, false)),
            Self::Symlink => Request::One(Change::Make, here(second, false)),
            Self::SymlinkAt => Request::One(Change::Make, at(second, third, false)),
        }
    }
}

/// An open, with what its flags say about links.
pub(super) fn opened(flags: u64, place: Place) -> Request {
    let has = |flag: i32| flags & u64::from(flag.unsigned_abs()) != 0;
    let follows = place.follows && !has(libc::O_NOFOLLOW);
    Request::One(Change::Open(flags), Place { follows, ..place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_the_kernel_reads_them() {
        let cwd = u64::from(libc::AT_FDCWD.unsigned_abs()).wrapping_neg();
        let place = |directory, path: u64, follows| Place {
            directory,
            path: (path != 0).then_some(path),
            follows,
        };
        let create = u64::from((libc::O_CREAT | libc::O_WRONLY).unsigned_abs());
        let nofollow = u64::from(libc::O_NOFOLLOW.unsigned_abs());
        let link = u64::from(libc::AT_SYMLINK_NOFOLLOW.unsigned_abs());
        let table: &[(c_long, [u64; 6], Request)] = &[
            (
                libc::SYS_openat,
                [cwd, 8, create, 0, 0, 0],
                Request::One(Change::Open(create), place(libc::AT_FDCWD, 8, true)),
            ),
            (
                libc::SYS_openat,
                [3, 8, create | nofollow, 0, 0, 0],
                Request::One(Change::Open(create | nofollow), place(3, 8, false)),
            ),
            (
                libc::SYS_openat2,
                [3, 8, 16, 24, 0, 0],
                Request::OpenHow {
                    place: place(3, 8, true),
                    how: 16,
                },
            ),
            (
                libc::SYS_utimensat,
                [5, 0, 8, 0, 0, 0],
                Request::One(Change::Alter, place(5, 0, true)),
            ),
            (
                libc::SYS_fchownat,
                [5, 8, 0, 0, link, 0],
                Request::One(Change::Alter, place(5, 8, false)),
            ),
            (
                libc::SYS_renameat2,
                [5, 8, 6, 16, 0, 0],
                Request::Two(place(5, 8, false), place(6, 16, false)),
            ),
            (
                libc::SYS_symlinkat,
                [8, 6, 16, 0, 0, 0],
                Request::One(Change::Make, place(6, 16, false)),
            ),
            (
                libc::SYS_fchmod,
                [7, 0o600, 0, 0, 0, 0],
                Request::One(Change::Alter, place(7, 0, true)),
            ),
        ];
        for (number, arguments, expected) in table {
            let number = i32::try_from(*number).unwrap();
            assert_eq!(read(number, arguments).as_ref(), Some(expected), "{number}");
        }
        assert_eq!(read(i32::try_from(libc::SYS_read).unwrap(), &[0; 6]), None);
    }
}
