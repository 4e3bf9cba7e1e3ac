//! Words as they are written: quotes, and the parts of image names.

use crate::dockerfile::Stage;
use crate::source::Span;

/// A word without the quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    let pairs = ['"', '\''];
    let inside = pairs
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    inside.unwrap_or(text)
}

/// Whether a path ends in one of the endings, in exactly this case: programs compare so.
pub(super) fn ends_in(path: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| path.ends_with(ending))
}

/// The parts of an image name, variables not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image<'t> {
    pub(super) name: &'t str,
    pub(super) tag: Option<&'t str>,
    pub(super) digest: Option<&'t str>,
}

impl<'t> Image<'t> {
    pub(super) fn parse(text: &'t str) -> Self {
        let text = unquoted(text);
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        // A colon in front of a slash belongs to the port of a registry, one in braces to a variable.
        let (name, tag) = match tag_colon(named).and_then(|at| named.split_at_checked(at)) {
            Some((name, tag)) => (name, tag.strip_prefix(':')),
            None => (named, None),
        };
        Self { name, tag, digest }
    }

    pub(super) fn is_scratch(&self) -> bool {
        self.name == "scratch"
    }
}

/// Where the last colon is that is outside of braces and behind the last slash.
fn tag_colon(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut found = None;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '/' if depth == 0 => found = None,
            ':' if depth == 0 => found = Some(at),
            _ => {}
        }
    }
    found
}

impl Stage {
    /// The place of the name behind AS; empty if there is none.
    pub(super) fn written_name(&self) -> Span {
        self.from
            .name
            .as_ref()
            .map(|name| name.span)
            .unwrap_or_default()
    }
}
