//! Trees and changes as lines of text.
//!
//! ```text
//! d 0755 1:2 /x            a directory
//! f 0644 0:0 /x/a "text"   a file
//! l 0:0 /x/l -> target     a link
//! h /x/b = /x/a            one more name
//! c 0666 0:0 1,3 /null     a device
//! p 0640 0:0 /x/p          a fifo
//! ! /x                     an opaque marker
//! ```
//!
//! `@7` at the end of a line is the time in seconds; without it a source is from [`THEN`], and a result is not said to be. `@now` is the
//! time of the instruction.

use kigumi_layer::{
    Change, Device, Entry, FileContent, ImagePath, Metadata, Mode, Origin, Timestamp, Tree,
};

/// The time of sources that say nothing else.
pub(crate) const THEN: Timestamp = Timestamp::from_seconds(1_000_000_000);
/// The time of instructions.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(2_000_000_000);

pub(crate) fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

/// A tree made of lines; directories that are not listed are 0755 0:0 and from [`THEN`].
pub(crate) fn tree(lines: &str) -> Tree {
    let mut tree = Tree::new();
    for change in changes(lines) {
        let mut missing = Vec::new();
        let mut at = change.path().parent();
        while let Some(parent) = at.filter(|parent| tree.lookup(parent).is_none()) {
            at = parent.parent();
            missing.push(parent);
        }
        for path in missing.into_iter().rev() {
            let metadata = Metadata::root_owned(Mode::DIRECTORY, THEN);
            let entry = Entry::Directory;
            let put = Change::Put {
                path,
                entry,
                metadata,
            };
            tree.apply(put).unwrap();
        }
        tree.apply(change).unwrap();
    }
    tree
}

pub(crate) fn changes(lines: &str) -> Vec<Change> {
    let lines = lines.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).map(change).collect()
}

fn change(line: &str) -> Change {
    let (line, mtime) = match line.rsplit_once(" @") {
        Some((line, "now")) => (line, NOW),
        Some((line, seconds)) => (line, Timestamp::from_seconds(seconds.parse().unwrap())),
        None => (line, THEN),
    };
    let (kind, rest) = line.split_once(' ').unwrap();
    if kind == "h" {
        let (name, target) = rest.split_once(" = ").unwrap();
        return Change::Link {
            path: path(name),
            target: path(target),
        };
    }
    let (mode, rest) = match kind {
        "l" => ("0777", rest),
        _ => rest.split_once(' ').unwrap(),
    };
    let (owner, rest) = rest.split_once(' ').unwrap();
    let (uid, gid) = owner.split_once(':').unwrap();
    let (entry, name) = match kind {
        "d" => (Entry::Directory, rest),
        "p" => (Entry::Fifo, rest),
        "l" => {
            let (name, target) = rest.split_once(" -> ").unwrap();
            (Entry::Symlink(target.as_bytes().into()), name)
        }
        "f" => {
            let (name, text) = rest.split_once(" \"").unwrap();
            let content = FileContent::inline(text.strip_suffix('"').unwrap().as_bytes());
            (Entry::File(content), name)
        }
        "c" => {
            let (numbers, name) = rest.split_once(' ').unwrap();
            let (major, minor) = numbers.split_once(',').unwrap();
            let (major, minor) = (major.parse().unwrap(), minor.parse().unwrap());
            (Entry::CharDevice(Device { major, minor }), name)
        }
        _ => panic!("{line}"),
    };
    Change::Put {
        path: path(name),
        entry,
        metadata: Metadata {
            uid: uid.parse().unwrap(),
            gid: gid.parse().unwrap(),
            ..Metadata::root_owned(Mode::new(u32::from_str_radix(mode, 8).unwrap()), mtime)
        },
    }
}

/// The lines that [`changes`] would read, blanks as in the source of a test.
pub(crate) fn shown(changes: &[Change]) -> String {
    changes.iter().map(|change| line(change) + "\n").collect()
}

fn line(change: &Change) -> String {
    let (path, entry, metadata) = match change {
        Change::Put {
            path,
            entry,
            metadata,
        } => (path, entry, metadata),
        Change::Link { path, target } => return format!("h {path} = {target}"),
        Change::Delete { path } => return format!("- {path}"),
        Change::ClearDir { path } => return format!("! {path}"),
    };
    let Metadata { mode, uid, gid, .. } = metadata;
    let mut line = match entry {
        Entry::Directory => format!("d {mode} {uid}:{gid} {path}"),
        Entry::Fifo => format!("p {mode} {uid}:{gid} {path}"),
        Entry::Symlink(target) => {
            format!(
                "l {uid}:{gid} {path} -> {}",
                String::from_utf8_lossy(target)
            )
        }
        Entry::CharDevice(Device { major, minor }) => {
            format!("c {mode} {uid}:{gid} {major},{minor} {path}")
        }
        Entry::BlockDevice(Device { major, minor }) => {
            format!("b {mode} {uid}:{gid} {major},{minor} {path}")
        }
        Entry::File(content) => format!("f {mode} {uid}:{gid} {path} {}", text(content)),
    };
    if metadata.mtime == NOW {
        line += " @now";
    } else if metadata.mtime != THEN {
        line += &format!(" @{}", metadata.mtime.seconds);
    }
    line
}

fn text(content: &FileContent) -> String {
    match &content.origin {
        Origin::Inline(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Origin::Live => "live".to_owned(),
        Origin::Blob { blob, offset } => format!("{} bytes at {blob}+{offset}", content.size),
        Origin::Stored { store, path } => {
            format!(
                "{} bytes in {store}:{}",
                content.size,
                String::from_utf8_lossy(path)
            )
        }
    }
}

/// Lines of a test without their indentation.
pub(crate) fn trimmed(lines: &str) -> String {
    lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.to_owned() + "\n")
        .collect()
}
