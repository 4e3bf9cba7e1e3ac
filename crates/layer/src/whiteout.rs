//! How a layer tar says that something is gone. image-spec v1.1 layer.md § Whiteouts.
//!
//! | name of the entry | means |
//! |---|---|
//! | `d/.wh.x` | [`Change::Delete`] of `d/x` |
//! | `d/.wh..wh..opq` | [`Change::ClearDir`] of `d` |
//! | `d/.wh..wh.` and anything else, or anything below such a name | what the old aufs driver kept for itself: skipped |
//! | `d/.wh.`, `d/.wh..`, `d/.wh...` | would delete `d`, `d/.` or `d/..`: refused |
//! | anything below `d/.wh.x` | readers disagree on what that is: refused |
//!
//! A whiteout is known by its name alone: its type, its content and its metadata say nothing. Both kinds hide what *lower* layers have,
//! never what their own layer has, and that does not depend on the order of the entries: writers differ in it. [`Tree::apply`](crate::Tree::apply)
//! therefore remembers which layer put a node, and a whiteout removes the others only.

use crate::{Change, ImagePath, PathError};

/// What all these names start with.
const PREFIX: &[u8] = b".wh.";
/// What the old aufs driver's own names start with.
const META_PREFIX: &[u8] = b".wh..wh.";
/// The name of an opaque marker.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What the name of an entry says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Meaning {
    /// An entry like any other, at this path.
    Ordinary(ImagePath),
    /// A whiteout.
    Whiteout(Change),
    /// Nothing that a reader needs.
    Skipped,
    /// Nothing sensible.
    Illegal,
}

/// What the name of a layer's entry means.
///
/// The limits of paths hold for what a whiteout hides, not for its own name, which is four bytes longer and never becomes a file.
pub(crate) fn interpret(raw: &[u8]) -> Result<Meaning, PathError> {
    let (parent, name) = split(raw);
    let components = || {
        parent
            .split(|byte| *byte == b'/')
            .filter(|component| component.starts_with(PREFIX))
    };
    if components().any(|component| component.starts_with(META_PREFIX)) {
        return Ok(Meaning::Skipped);
    }
    if components().next().is_some() {
        return Ok(Meaning::Illegal);
    }
    if name == OPAQUE {
        let path = ImagePath::parse(parent)?;
        return Ok(Meaning::Whiteout(Change::ClearDir { path }));
    }
    if name.starts_with(META_PREFIX) {
        return Ok(Meaning::Skipped);
    }
    Ok(match name.strip_prefix(PREFIX) {
        None => Meaning::Ordinary(ImagePath::parse(raw)?),
        Some(b"" | b"." | b"..") => Meaning::Illegal,
        Some(hidden) => Meaning::Whiteout(Change::Delete {
            path: ImagePath::parse(&[parent, b"/", hidden].concat())?,
        }),
    })
}

/// The last component of a name, and what stands before it. Trailing slashes and dots are no components.
fn split(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = raw;
    loop {
        let slash = rest.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = match slash {
            Some(slash) => (
                rest.get(..slash).unwrap_or_default(),
                rest.get(slash + 1..).unwrap_or_default(),
            ),
            None => (&[][..], rest),
        };
        if slash.is_none() || !matches!(name, b"" | b".") {
            return (parent, name);
        }
        rest = parent;
    }
}

/// Whether a file of this name would be read as a whiteout, so that no layer can hold it.
pub(crate) fn is_reserved(path: &ImagePath) -> bool {
    path.components()
        .any(|component| component.starts_with(PREFIX))
}

/// The entry name, without a leading slash, that deletes `path`; `None` for the root.
pub(crate) fn delete_name(path: &ImagePath) -> Option<Vec<u8>> {
    let name = path.file_name()?;
    let mut marker = PREFIX.to_vec();
    marker.extend_from_slice(name);
    Some(path.parent()?.join(&marker).as_relative().to_vec())
}

/// The entry name, without a leading slash, that clears the directory `path`.
pub(crate) fn clear_name(path: &ImagePath) -> Vec<u8> {
    path.join(OPAQUE).as_relative().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text.as_bytes()).unwrap()
    }

    /// hostile-inputs § 5.3, group Whiteouts.
    #[test]
    fn the_name_of_an_entry_says_whether_it_is_a_whiteout() {
        let ordinary = |text| Meaning::Ordinary(path(text));
        let delete = |text| Meaning::Whiteout(Change::Delete { path: path(text) });
        let clear = |text| Meaning::Whiteout(Change::ClearDir { path: path(text) });
        let cases = [
            ("a", ordinary("a")),
            ("./a/.w", ordinary("a/.w")),
            ("a/x.wh.y", ordinary("a/x.wh.y")),
            ("/", ordinary("")),
            (".wh.a", delete("a")),
            ("a/.wh.b", delete("a/b")),
            ("a/.wh....", delete("a/...")),
            ("a/.wh.b/", delete("a/b")),
            ("a/.wh.b/.//", delete("a/b")),
            ("/.wh.b", delete("b")),
            (".wh..wh..opq", clear("")),
            ("a/.wh..wh..opq", clear("a")),
            (".wh..wh.plnk", Meaning::Skipped),
            (".wh..wh.plnk/12.34", Meaning::Skipped),
            (".wh..wh.aufs", Meaning::Skipped),
            ("a/.wh..wh.orph", Meaning::Skipped),
            ("a/.wh.", Meaning::Illegal),
            ("a/.wh..", Meaning::Illegal),
            ("a/.wh...", Meaning::Illegal),
            ("a/.wh.b/c", Meaning::Illegal),
        ];
        for (name, expected) in cases {
            assert_eq!(interpret(name.as_bytes()).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn names_of_whiteouts_are_read_as_they_were_written() {
        let longest = "n".repeat(255);
        for text in ["a", "a/b", "a/b c/d", &longest] {
            let name = delete_name(&path(text)).unwrap();
            let expected = Change::Delete { path: path(text) };
            assert_eq!(interpret(&name).unwrap(), Meaning::Whiteout(expected));
            let expected = Change::ClearDir { path: path(text) };
            let name = clear_name(&path(text));
            assert_eq!(interpret(&name).unwrap(), Meaning::Whiteout(expected));
        }
        assert_eq!(delete_name(&ImagePath::root()), None);
    }

    #[test]
    fn a_whiteout_is_a_path_like_any_other_t_unpack_01() {
        let long = format!(".wh.{}", "n".repeat(256));
        for name in [
            "../.wh.a",
            "a/../.wh.b",
            ".wh.a/..",
            "../.wh..wh..opq",
            &long,
        ] {
            let meaning = interpret(name.as_bytes());
            let refused = matches!(meaning, Err(_) | Ok(Meaning::Illegal));
            assert!(refused, "{name}: {meaning:?}");
        }
    }
}
