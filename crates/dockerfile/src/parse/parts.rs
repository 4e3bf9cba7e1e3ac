//! A statement cut into its parts, as every instruction's parser gets it.

use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::instruction::Heredoc;
use crate::source::Span;

use super::flags::{Flags, Known};
use super::logical::{Logical, trim};
use super::words::{FlagText, Json, Literal, first_word, read_json, split_flags};

/// A statement cut into its parts.
pub(super) struct Parts<'a> {
    pub(super) line: &'a Logical,
    pub(super) name: &'static str,
    pub(super) flags: Vec<FlagText>,
    /// The arguments, white space around them removed.
    pub(super) arguments: Range<usize>,
    pub(super) heredocs: Vec<Heredoc>,
    pub(super) escape: char,
    /// The instruction without heredocs.
    pub(super) span: Span,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Parts<'_> {
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn text(&self) -> &str {
        self.line.get(self.arguments.clone())
    }

    /// Reports that there are too few arguments.
    pub(super) fn missing(&mut self, what: &str) {
        let message = format!("{} needs {what}", self.name);
        self.report(Diagnostic::error("MissingArgument", self.span, message));
    }

    pub(super) fn flags(&mut self, known: Known) -> Flags {
        Flags::check(
            &self.flags,
            self.line,
            self.name,
            known,
            &mut self.diagnostics,
        )
    }

    /// Reads the arguments as a JSON array of strings; `Err` if the array has other elements, which is reported.
    pub(super) fn json(&mut self) -> Result<Option<Vec<Literal>>, ()> {
        match read_json(self.line, self.arguments.clone()) {
            Json::Strings(strings) => Ok(Some(strings)),
            Json::NotAnArray => Ok(None),
            Json::OtherElements => {
                let message = format!(
                    "the JSON array of {} has elements that are no strings",
                    self.name
                );
                let span = self.line.span(&self.arguments);
                self.report(Diagnostic::error("JsonNotStrings", span, message));
                Err(())
            }
        }
    }
}

/// Keyword, flags and arguments of a statement.
pub(super) struct Split {
    pub(super) keyword: Range<usize>,
    pub(super) flags: Vec<FlagText>,
    pub(super) arguments: Range<usize>,
}

pub(super) fn split(line: &Logical, range: Range<usize>) -> Split {
    let text = line.text();
    let (keyword, rest) = first_word(text, trim(text, range));
    let (flags, arguments) = split_flags(text, rest);
    Split {
        keyword,
        flags,
        arguments: trim(text, arguments),
    }
}
