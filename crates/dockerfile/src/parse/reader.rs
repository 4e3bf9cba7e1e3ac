//! One instruction: keyword, flags, arguments, heredocs.

use crate::diagnostic::Diagnostic;
use crate::dockerfile::{Directive, From};
use crate::instruction::{Heredoc, Instruction};
use crate::source::{Source, Span};

use super::body::{body, unknown_instruction};
use super::heredoc::find_markers;
use super::keyword::Keyword;
use super::lines::{Lines, Statement};
use super::logical::{Logical, trim};
use super::parts::{Parts, Split, split};
use super::stage::from;
use super::words::{Json, read_json};

/// What a statement turned out to be.
pub(super) enum Parsed {
    From(Box<From>),
    Instruction(Box<Instruction>),
    /// Reported; says whether it was a FROM.
    Invalid(bool),
}

/// Reads a file instruction by instruction.
pub(super) struct Reader {
    source: Source,
    lines: Lines,
}

impl Reader {
    pub(super) fn new(source: &Source, mangled: Vec<usize>) -> Self {
        Self {
            source: source.clone(),
            lines: Lines::new(source, mangled),
        }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.lines.diagnostics.push(diagnostic);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.lines.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The directives and the escape character, which are complete once an instruction has been read.
    pub(super) fn directives(&mut self) -> (Vec<Directive>, char) {
        (
            std::mem::take(&mut self.lines.directives),
            self.lines.escape,
        )
    }

    /// All findings in the order of the text.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.lines.diagnostics;
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.line);
        diagnostics
    }

    /// Parses the next instruction.
    pub(super) fn next(&mut self) -> Option<Parsed> {
        let Statement { line, comments } = self.lines.statement()?;
        let whole = trim(line.text(), 0..line.text().len());
        let split = split(&line, whole.clone());
        let keyword_text = line.spanned(split.keyword.clone());
        let Some(keyword) = Keyword::read(&keyword_text.value) else {
            self.report(unknown_instruction(&keyword_text));
            return Some(Parsed::Invalid(false));
        };
        let Some(heredocs) = self.heredocs(keyword, &line, &split) else {
            return Some(Parsed::Invalid(keyword == Keyword::From));
        };
        let span = line.span(&whole);
        let mut parts = Parts {
            line: &line,
            name: keyword.name(),
            flags: split.flags,
            arguments: split.arguments,
            heredocs,
            escape: self.lines.escape,
            span,
            diagnostics: Vec::new(),
        };
        let end = self.lines.offset();
        let has_body = !parts.heredocs.is_empty();
        let span = if has_body {
            self.with_body(span, end)
        } else {
            span
        };
        let original = line.text().trim_start().trim_end_matches('\r').to_owned();
        let parsed = if keyword == Keyword::From {
            from(&mut parts, keyword_text, original, comments)
                .map(|from| Parsed::From(Box::new(from)))
        } else {
            let kind = body(keyword, &mut parts);
            kind.map(|kind| {
                let keyword = keyword_text;
                let instruction = Instruction {
                    span,
                    keyword,
                    original,
                    comments,
                    kind,
                };
                Parsed::Instruction(Box::new(instruction))
            })
        };
        self.lines.diagnostics.append(&mut parts.diagnostics);
        Some(parsed.unwrap_or(Parsed::Invalid(keyword == Keyword::From)))
    }

    /// The span of an instruction whose heredocs reach to `end`.
    fn with_body(&self, span: Span, end: usize) -> Span {
        let text = self.source.text().get(..end).unwrap_or_default();
        span.to(self
            .source
            .span(span.start, text.trim_end_matches(['\r', '\n']).len()))
    }

    /// Reads the bodies of the heredocs that the line announces; `None` if one has no end, which is reported.
    fn heredocs(
        &mut self,
        keyword: Keyword,
        line: &Logical,
        outer: &Split,
    ) -> Option<Vec<Heredoc>> {
        let inner;
        let (keyword, split) = if keyword == Keyword::Onbuild {
            inner = split(line, outer.arguments.clone());
            (Keyword::read(line.get(inner.keyword.clone())), &inner)
        } else {
            (Some(keyword), outer)
        };
        let takes_heredocs = keyword.is_some_and(Keyword::takes_heredocs);
        if !takes_heredocs || !matches!(read_json(line, split.arguments.clone()), Json::NotAnArray)
        {
            return Some(Vec::new());
        }
        let mut heredocs = Vec::new();
        for marker in find_markers(line.text()) {
            let Some(body) = self.lines.body(&marker.name, marker.strip_tabs) else {
                let span = line.span(&trim(line.text(), 0..line.text().len()));
                let message = format!(
                    "the heredoc `{}` is not terminated: no line is exactly `{0}`",
                    marker.name
                );
                self.report(Diagnostic::error("UnterminatedHeredoc", span, message));
                return None;
            };
            heredocs.push(Heredoc {
                name: marker.name,
                file_descriptor: marker.file_descriptor,
                strip_tabs: marker.strip_tabs,
                expand: marker.expand,
                content: body.content,
                span: body.span,
            });
        }
        Some(heredocs)
    }
}
