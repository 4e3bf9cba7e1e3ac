use std::collections::HashMap;
use std::fmt;

use super::word::{bare, quoted};
use crate::{
    Change, ContentIdentity, Device, Entry, FileContent, ImagePath, Metadata, Mode, NodeId, Origin,
    Timestamp, Tree,
};

/// One line for each change, each with its newline.
pub fn print_changes<'a>(changes: impl IntoIterator<Item = &'a Change>) -> String {
    let mut text = String::new();
    for change in changes {
        text.push_str(&change.to_string());
        text.push('\n');
    }
    text
}

impl fmt::Display for Change {
    /// One line of the [notation](crate::notation).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put {
                path,
                entry,
                metadata,
            } => put(f, path, entry, metadata),
            Self::Link { path, target } => write!(f, "h {} = {}", word(path), word(target)),
            Self::Delete { path } => write!(f, "- {}", word(path)),
            Self::ClearDir { path } => write!(f, "! {}", word(path)),
        }
    }
}

impl fmt::Display for Tree {
    /// The [notation](crate::notation), parents first. The root has a line only when it is not as that of a new tree.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first_names: HashMap<NodeId, ImagePath> = HashMap::new();
        let plain = Metadata::root_owned(Mode::DIRECTORY, Timestamp::default());
        for (path, id) in self.walk() {
            let node = self.node(id);
            if path.is_root() && node.metadata == plain {
                continue;
            }
            if let Some(target) = first_names.get(&id) {
                writeln!(f, "h {} = {}", word(&path), word(target))?;
                continue;
            }
            put(f, &path, &Entry::of(&node.kind), &node.metadata)?;
            f.write_str("\n")?;
            if self.links(id) > 1 {
                first_names.insert(id, path);
            }
        }
        Ok(())
    }
}

fn put(
    f: &mut fmt::Formatter<'_>,
    path: &ImagePath,
    entry: &Entry,
    metadata: &Metadata,
) -> fmt::Result {
    f.write_str(letter(entry))?;
    if !matches!(entry, Entry::Symlink(_)) {
        write!(f, " {}", metadata.mode)?;
    }
    write!(f, " {}:{}", metadata.uid, metadata.gid)?;
    match entry {
        Entry::File(content) => write!(f, " {}", content.size)?,
        Entry::CharDevice(Device { major, minor })
        | Entry::BlockDevice(Device { major, minor }) => {
            write!(f, " {major},{minor}")?;
        }
        Entry::Directory | Entry::Symlink(_) | Entry::Fifo => {}
    }
    if metadata.mtime != Timestamp::default() {
        write!(f, " @{}", metadata.mtime)?;
    }
    write!(f, " {}", word(path))?;
    match entry {
        Entry::File(content) => write!(f, " {}", shown(content))?,
        Entry::Symlink(target) => write!(f, " -> {}", bare(target))?,
        Entry::Directory | Entry::CharDevice(_) | Entry::BlockDevice(_) | Entry::Fifo => {}
    }
    for (name, value) in metadata.xattrs.iter() {
        write!(f, " {}={}", bare(name), quoted(value))?;
    }
    Ok(())
}

fn letter(entry: &Entry) -> &'static str {
    match entry {
        Entry::Directory => "d",
        Entry::File(_) => "f",
        Entry::Symlink(_) => "l",
        Entry::CharDevice(_) => "c",
        Entry::BlockDevice(_) => "b",
        Entry::Fifo => "p",
    }
}

fn word(path: &ImagePath) -> String {
    bare(&path.to_absolute())
}

fn shown(content: &FileContent) -> String {
    match (&content.origin, content.identity) {
        (Origin::Inline(bytes), _) => quoted(bytes),
        (Origin::Live | Origin::Blob { .. } | Origin::Stored { .. }, identity) => match identity {
            ContentIdentity::Sha256(digest) => digest.to_string(),
            ContentIdentity::Unique(number) => format!("?{number}"),
        },
    }
}
