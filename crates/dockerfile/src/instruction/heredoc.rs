//! Inline files.

use std::borrow::Cow;

use serde::Serialize;

use crate::source::Span;

/// `<<NAME`, its body and how to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heredoc {
    /// The delimiter without quotes; also the file name for COPY and ADD.
    pub name: String,
    /// The file descriptor in front of `<<`, for the shell; 0 if none is written.
    pub file_descriptor: u32,
    /// `<<-`: leading tabs of every line are removed.
    pub strip_tabs: bool,
    /// No quote in the delimiter: COPY and ADD expand the body (RUN never does).
    pub expand: bool,
    /// The lines between delimiter and terminator exactly as in the file, tabs and `\r\n` included.
    pub content: String,
    /// The body's lines in the file.
    pub span: Span,
}

impl Heredoc {
    /// The body as it is used: `content` with leading tabs removed if `<<-` asks for that.
    #[must_use]
    pub fn body(&self) -> Cow<'_, str> {
        if !self.strip_tabs {
            return Cow::Borrowed(&self.content);
        }
        let lines = self.content.split_inclusive('\n');
        Cow::Owned(lines.map(|line| line.trim_start_matches('\t')).collect())
    }
}
