//! One instruction: keyword, flags, arguments, heredocs.

use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::dockerfile::{Directive, From};
use crate::instruction::{Expose, Heredoc, Instruction, InstructionKind, Volume};
use crate::source::{Source, Span, Spanned};

use super::arguments::{command, key_values, rest_of_line, shell, variables};
use super::flags::{self, Flags, Known};
use super::healthcheck::healthcheck;
use super::heredoc::find_markers;
use super::keyword::Keyword;
use super::lines::{Lines, Statement};
use super::logical::{Logical, trim};
use super::onbuild::onbuild;
use super::stage::from;
use super::words::{FlagText, Json, Literal, first_word, read_json, split_blanks, split_flags};
use super::{paths, run};

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

pub(super) fn unknown_instruction(keyword: &Spanned<String>) -> Diagnostic {
    let message = format!("unknown instruction `{}`", keyword.value);
    let diagnostic = Diagnostic::error("UnknownInstruction", keyword.span, message);
    match Keyword::nearest(&keyword.value) {
        Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
        None => diagnostic,
    }
}

/// Parses the body of an instruction; `None` if it makes no sense, which is reported.
pub(super) fn body(keyword: Keyword, parts: &mut Parts<'_>) -> Option<InstructionKind> {
    // Instructions with flags of their own read them themselves.
    if !matches!(
        keyword,
        Keyword::Add | Keyword::Copy | Keyword::Healthcheck | Keyword::Run
    ) {
        parts.flags(flags::NONE);
    }
    match keyword {
        Keyword::Add => paths::add(parts).map(InstructionKind::Add),
        Keyword::Arg => variables(parts).map(InstructionKind::Arg),
        Keyword::Cmd => command(parts).map(InstructionKind::Cmd),
        Keyword::Copy => paths::copy(parts).map(InstructionKind::Copy),
        Keyword::Entrypoint => command(parts).map(InstructionKind::Entrypoint),
        Keyword::Env => key_values(parts).map(InstructionKind::Env),
        Keyword::Expose => expose(parts).map(InstructionKind::Expose),
        // A stage begins elsewhere.
        Keyword::From => None,
        Keyword::Healthcheck => healthcheck(parts).map(InstructionKind::Healthcheck),
        Keyword::Label => key_values(parts).map(InstructionKind::Label),
        Keyword::Maintainer => rest_of_line(parts)
            .map(|word| InstructionKind::Maintainer(Spanned::new(word.raw, word.span))),
        Keyword::Onbuild => onbuild(parts).map(InstructionKind::Onbuild),
        Keyword::Run => run::run(parts).map(InstructionKind::Run),
        Keyword::Shell => shell(parts).map(InstructionKind::Shell),
        Keyword::Stopsignal => rest_of_line(parts).map(InstructionKind::Stopsignal),
        Keyword::User => rest_of_line(parts).map(InstructionKind::User),
        Keyword::Volume => volume(parts).map(InstructionKind::Volume),
        Keyword::Workdir => rest_of_line(parts).map(InstructionKind::Workdir),
    }
}

fn expose(parts: &mut Parts<'_>) -> Option<Expose> {
    let words = split_blanks(parts.line.text(), parts.arguments.clone());
    if words.is_empty() {
        parts.missing("at least one port");
        return None;
    }
    Some(Expose {
        ports: words
            .into_iter()
            .map(|word| parts.line.word(word))
            .collect(),
    })
}

fn volume(parts: &mut Parts<'_>) -> Option<Volume> {
    let paths = paths::words(parts)?;
    if paths.is_empty() {
        parts.missing("at least one path");
        return None;
    }
    if let Some(blank) = paths.iter().find(|path| path.raw.trim().is_empty()) {
        let message = "a path of VOLUME is empty";
        parts.report(Diagnostic::error("EmptyVolume", blank.span, message));
        return None;
    }
    let trimmed = paths.into_iter().map(|mut path| {
        path.raw = path.raw.trim().to_owned();
        path
    });
    Some(Volume {
        paths: trimmed.collect(),
    })
}
