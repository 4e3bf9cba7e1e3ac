//! Text with a name, and places in it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A range of bytes of one [`Source`], with the lines it covers.
///
/// Half open: `start` is the first byte, `end` the first byte behind it. Lines count from 1; `end_line` is the
/// line of the last byte, so a single-line span has `line == end_line`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
    /// Line of the first byte, from 1.
    pub line: usize,
    /// Line of the last byte, from 1.
    pub end_line: usize,
}

impl Span {
    /// The smallest span that covers both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
            line: self.line.min(other.line),
            end_line: self.end_line.max(other.end_line),
        }
    }
}

/// A value together with the place it was written at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts a value at a place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Text that is still to be expanded: quotes, escapes and `$` are as the user wrote them.
///
/// Everything of type `Word` goes through [`crate::word`] before it is used; a `String` in the tree never does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Word {
    /// The unexpanded text.
    pub raw: String,
    /// Where it stands.
    pub span: Span,
}

impl Word {
    /// Puts unexpanded text at a place.
    pub fn new(raw: impl Into<String>, span: Span) -> Self {
        Self {
            raw: raw.into(),
            span,
        }
    }
}

/// A line and a column, both from 1; columns count characters, not bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// The text that spans point into, and the name users know it by. Cheap to clone.
///
/// A byte order mark at the very beginning is not part of the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
    /// Offset of the first byte of every line.
    line_starts: Arc<[usize]>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Takes a text under a name (the path as the user gave it).
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            name: Arc::from(name),
            text: Arc::from(text),
            line_starts: std::iter::once(0).chain(starts).collect(),
        }
    }

    /// The name for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text, without a leading byte order mark.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span; empty if the span is not of this source.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The line, from 1, that holds the byte at `offset`.
    #[must_use]
    pub fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Line and column of a byte offset.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line_of(offset);
        let start = self
            .line_starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        Position {
            line,
            column: before.chars().count() + 1,
        }
    }

    /// The span of a whole line, its end not included; empty if there is no such line.
    #[must_use]
    pub fn line_span(&self, line: usize) -> Span {
        let at = |index: usize| {
            self.line_starts
                .get(index)
                .copied()
                .unwrap_or(self.text.len())
        };
        let start = at(line.saturating_sub(1));
        let text = self.text.get(start..at(line)).unwrap_or_default();
        self.span(start, start + text.trim_end_matches(['\r', '\n']).len())
    }

    /// The span of a byte range.
    #[must_use]
    pub fn span(&self, start: usize, end: usize) -> Span {
        let last = end.saturating_sub(1).max(start);
        Span {
            start,
            end,
            line: self.line_of(start),
            end_line: self.line_of(last),
        }
    }
}
