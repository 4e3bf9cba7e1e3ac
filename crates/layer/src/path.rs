use std::cmp::Ordering;
use std::fmt;

use crate::limits::{NAME_MAX, PATH_MAX};

/// A path inside an image: absolute, clean, bytes. The root is the empty sequence of components.
///
/// Paths are ordered by component, not by byte, so that a directory and all that lies below it are neighbours.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ImagePath(Box<[u8]>);

/// Why bytes are not the path of something inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// `..`: never in a layer (T-UNPACK-01).
    #[error("path `{path}` has a `..` component")]
    ParentComponent {
        /// The path, with unprintable bytes escaped.
        path: String,
    },
    /// A NUL byte.
    #[error("path `{path}` contains a NUL byte")]
    Nul {
        /// The path, with unprintable bytes escaped.
        path: String,
    },
    /// Longer than the kernel allows.
    #[error("path of {bytes} bytes: a name may have {NAME_MAX} bytes and a path {PATH_MAX}")]
    TooLong {
        /// Length of the name or path that is too long.
        bytes: usize,
    },
}

impl ImagePath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path from the bytes of an archive or a listing: leading `/`, empty components and `.` are dropped.
    ///
    /// # Errors
    /// [`PathError`] for `..`, NUL and over-long names.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        let shown = || bytes.escape_ascii().to_string();
        if bytes.contains(&0) {
            return Err(PathError::Nul { path: shown() });
        }
        let mut clean = Vec::with_capacity(bytes.len());
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(PathError::ParentComponent { path: shown() }),
                name if name.len() > NAME_MAX => {
                    return Err(PathError::TooLong { bytes: name.len() });
                }
                name => push_component(&mut clean, name),
            }
        }
        if clean.len() > PATH_MAX {
            return Err(PathError::TooLong { bytes: clean.len() });
        }
        Ok(Self(clean.into()))
    }

    /// A path from what a user wrote: `..` goes up and stops at the root (T-COPY-12).
    ///
    /// # Errors
    /// [`PathError`] for NUL and over-long names.
    pub fn clamp(bytes: &[u8]) -> Result<Self, PathError> {
        let mut kept: Vec<&[u8]> = Vec::new();
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => drop(kept.pop()),
                name => kept.push(name),
            }
        }
        Self::parse(&kept.join(&b'/'))
    }

    /// A path of clean components, as [`ImagePath::components`] gives them.
    pub(crate) fn from_components<'a>(components: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut bytes = Vec::new();
        components.for_each(|component| push_component(&mut bytes, component));
        Self(bytes.into())
    }

    /// This path with one more component. `name` must be a single clean component, as listings give it.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        debug_assert!(!name.contains(&b'/'), "one component only");
        // As much as it takes: a box is made of it by copying once more where there is room left.
        let mut bytes = Vec::with_capacity(self.0.len() + "/".len() + name.len());
        bytes.extend_from_slice(&self.0);
        push_component(&mut bytes, name);
        Self(bytes.into())
    }

    /// This path with all components of `below`.
    #[must_use]
    pub fn join_path(&self, below: &Self) -> Self {
        let mut bytes = self.0.to_vec();
        if !below.is_root() {
            push_component(&mut bytes, &below.0);
        }
        Self(bytes.into())
    }

    /// The directory that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self(self.0.get(..end).unwrap_or_default().into()))
    }

    /// The last component; `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The components from the root downwards.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this path is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || self
                .0
                .strip_prefix(&*ancestor.0)
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }

    /// What is left of this path below `ancestor`; `None` when it does not lie there.
    pub fn strip_prefix(&self, ancestor: &Self) -> Option<Self> {
        if !self.starts_with(ancestor) {
            return None;
        }
        let rest = self.0.get(ancestor.0.len()..)?;
        Some(Self(rest.strip_prefix(b"/").unwrap_or(rest).into()))
    }

    /// The bytes without a leading slash, as layer tars name their entries; empty for the root.
    pub fn as_relative(&self) -> &[u8] {
        &self.0
    }

    /// The bytes with a leading slash.
    pub fn to_absolute(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() + 1);
        bytes.push(b'/');
        bytes.extend_from_slice(&self.0);
        bytes
    }
}

fn push_component(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

impl Ord for ImagePath {
    /// By the first byte that differs, where a separator or the end comes before any other byte: the order by components, at the price of a
    /// comparison of bytes. No component is empty, so that is all there is to it.
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |byte: Option<&u8>| match byte {
            None => 0,
            Some(b'/') => 1,
            Some(byte) => u16::from(*byte) + 2,
        };
        let same = self.0.iter().zip(&other.0).take_while(|(a, b)| a == b);
        let at = same.count();
        rank(self.0.get(at)).cmp(&rank(other.0.get(at)))
    }
}

impl PartialOrd for ImagePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0).escape_debug())
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn archive_names_become_clean_paths() {
        let cases = [
            ("./a/b/", "/a/b"),
            ("/a//b", "/a/b"),
            ("a/./b", "/a/b"),
            ("./", "/"),
            ("", "/"),
        ];
        for (name, expected) in cases {
            assert_eq!(path(name).to_string(), expected, "{name}");
        }
    }

    #[test]
    fn names_with_parent_components_are_rejected_t_unpack_01() {
        for name in ["..", "../a", "a/../../b", "a/..", "/.."] {
            assert!(matches!(
                ImagePath::parse(name.as_bytes()),
                Err(PathError::ParentComponent { .. })
            ));
        }
    }

    #[test]
    fn names_may_be_as_long_as_the_kernel_allows_and_no_longer() {
        let name = |length: usize| "n".repeat(length);
        assert_eq!(path(&name(255)).as_relative().len(), 255);
        assert!(matches!(
            ImagePath::parse(name(256).as_bytes()),
            Err(PathError::TooLong { bytes: 256 })
        ));
        let long = |length: usize| {
            let mut text = "d/".repeat(2000);
            text.push_str(&name(length - text.len()));
            text
        };
        assert_eq!(path(&long(4095)).as_relative().len(), 4095);
        assert!(matches!(
            ImagePath::parse(long(4096).as_bytes()),
            Err(PathError::TooLong { .. })
        ));
    }

    #[test]
    fn parent_components_of_users_stop_at_the_root_t_copy_12() {
        assert_eq!(ImagePath::clamp(b"a/../../../b").unwrap(), path("b"));
    }

    #[test]
    fn a_directory_and_what_lies_below_are_neighbours_in_order() {
        let mut paths = [
            path("a-b"),
            path("a/b"),
            path("a"),
            path("a/b-c"),
            path("a/b/c"),
        ];
        paths.sort();
        let shown: Vec<String> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["/a", "/a/b", "/a/b/c", "/a/b-c", "/a-b"]);
    }

    #[test]
    fn the_order_is_that_of_the_components() {
        let names = [
            "", "a", "a/b", "a/b/c", "a/b-c", "a-b", "a.b", "a\u{1}", "ab", "b", "\u{ff}",
        ];
        for (left, right) in names.iter().flat_map(|a| names.map(|b| (path(a), path(b)))) {
            let expected = left.components().cmp(right.components());
            assert_eq!(left.cmp(&right), expected, "{left} {right}");
        }
    }

    #[test]
    fn a_prefix_is_made_of_whole_components() {
        assert!(path("a/b").starts_with(&path("a")));
        assert!(!path("ab").starts_with(&path("a")));
        assert_eq!(path("a/b/c").strip_prefix(&path("a")), Some(path("b/c")));
        assert_eq!(path("a").strip_prefix(&path("a")), Some(ImagePath::root()));
        assert_eq!(path("ab").strip_prefix(&path("a")), None);
        assert_eq!(path("a").strip_prefix(&ImagePath::root()), Some(path("a")));
    }
}
