//! A line as the language sees it: several lines of the file joined, with the way back to each byte.

use std::ops::Range;

use crate::source::{Source, Span, Spanned, Word};

/// The joined text of an instruction.
#[derive(Debug, Clone)]
pub(super) struct Logical {
    source: Source,
    text: String,
    /// Offset in `text` and in the source of every piece, in order.
    pieces: Vec<(usize, usize)>,
}

impl Logical {
    pub(super) fn new(source: &Source) -> Self {
        Self {
            source: source.clone(),
            text: String::new(),
            pieces: Vec::new(),
        }
    }

    /// Appends text that stands at `start` in the source.
    pub(super) fn push(&mut self, piece: &str, start: usize) {
        self.pieces.push((self.text.len(), start));
        self.text.push_str(piece);
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn get(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    /// The place in the source of a range of the joined text.
    pub(super) fn span(&self, range: &Range<usize>) -> Span {
        let start = self.origin(range.start);
        let end = if range.end > range.start {
            self.origin(range.end - 1) + 1
        } else {
            start
        };
        self.source.span(start, end.max(start))
    }

    fn origin(&self, offset: usize) -> usize {
        let index = self.pieces.partition_point(|(text, _)| *text <= offset);
        let piece = index
            .checked_sub(1)
            .and_then(|index| self.pieces.get(index));
        piece.map_or(0, |(text, source)| source + (offset - text))
    }

    pub(super) fn spanned(&self, range: Range<usize>) -> Spanned<String> {
        Spanned::new(self.get(range.clone()).to_owned(), self.span(&range))
    }

    pub(super) fn word(&self, range: Range<usize>) -> Word {
        Word::new(self.get(range.clone()), self.span(&range))
    }
}

/// A range without the white space at its ends.
pub(super) fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}
