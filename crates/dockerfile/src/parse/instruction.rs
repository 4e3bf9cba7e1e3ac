//! One instruction: keyword, flags, arguments, heredocs.

use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::dockerfile::{Comment, Directive, From};
use crate::instruction::{
    Expose, Healthcheck, HealthcheckOptions, Heredoc, Instruction, InstructionKind, Onbuild, Volume,
};
use crate::source::{Source, Span, Spanned};

use super::arguments::{command, key_values, rest_of_line, shell, variables};
use super::flags::{self, Flags, Known};
use super::forbidden_trigger;
use super::heredoc::find_markers;
use super::keyword::Keyword;
use super::lines::{Lines, Statement};
use super::logical::{Logical, trim};
use super::numbers::parse_duration;
use super::words::{FlagText, Json, Literal, first_word, read_json, split_blanks, split_flags};
use super::{paths, run};

/// What a statement turned out to be.
pub(super) enum Parsed {
    From(Box<From>),
    Instruction(Box<Instruction>),
    /// Reported; says whether it was a FROM.
    Invalid(bool),
}

/// Mistakes that the reference finds in a trigger before the trigger is used. All others it finds in the child, so that
/// they must not stop the build of the parent.
const FATAL_IN_TRIGGER: [&str; 6] = [
    "ForbiddenTrigger",
    "InvalidEncoding",
    "JsonNotStrings",
    "MissingEquals",
    "MissingValue",
    "UnterminatedHeredoc",
];

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
struct Split {
    keyword: Range<usize>,
    flags: Vec<FlagText>,
    arguments: Range<usize>,
}

fn split(line: &Logical, range: Range<usize>) -> Split {
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

fn unknown_instruction(keyword: &Spanned<String>) -> Diagnostic {
    let message = format!("unknown instruction `{}`", keyword.value);
    let diagnostic = Diagnostic::error("UnknownInstruction", keyword.span, message);
    match Keyword::nearest(&keyword.value) {
        Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
        None => diagnostic,
    }
}

/// Parses the body of an instruction; `None` if it makes no sense, which is reported.
fn body(keyword: Keyword, parts: &mut Parts<'_>) -> Option<InstructionKind> {
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

fn from(
    parts: &mut Parts<'_>,
    keyword: Spanned<String>,
    original: String,
    comments: Vec<Comment>,
) -> Option<From> {
    let mut flags = parts.flags(flags::FROM);
    let words = split_blanks(parts.line.text(), parts.arguments.clone());
    let line = parts.line;
    let (base, naming) = match words.as_slice() {
        [base] => (base, None),
        [base, separator, name] if line.get(separator.clone()).eq_ignore_ascii_case("as") => {
            (base, Some((separator, name)))
        }
        _ => {
            let message = "FROM has one argument, or three: `FROM image AS name`";
            parts.report(Diagnostic::error("InvalidFrom", parts.span, message));
            return None;
        }
    };
    let name = match naming {
        Some((_, name)) => Some(stage_name(parts, name)?),
        None => None,
    };
    Some(From {
        span: parts.span,
        keyword,
        original,
        comments,
        platform: flags.word("platform"),
        base: line.word(base.clone()),
        as_keyword: naming.map(|(separator, _)| line.spanned(separator.clone())),
        name,
    })
}

fn stage_name(parts: &mut Parts<'_>, range: &Range<usize>) -> Option<Spanned<String>> {
    let written = parts.line.get(range.clone());
    let name = written.to_lowercase();
    let span = parts.line.span(range);
    let is_valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    if !is_valid {
        let message = format!("`{written}` is no name for a stage");
        let help = "a name begins with a letter and has letters, digits, `-`, `_` and `.` only";
        parts.report(Diagnostic::error("InvalidStageName", span, message).with_help(help));
        return None;
    }
    Some(Spanned::new(name, span))
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

fn healthcheck(parts: &mut Parts<'_>) -> Option<Healthcheck> {
    let mut flags = parts.flags(flags::HEALTHCHECK);
    let arguments = parts.arguments.clone();
    let text = parts.line.get(arguments.clone());
    let length = text.find(char::is_whitespace).unwrap_or(text.len());
    let kind = text.get(..length).unwrap_or_default().to_owned();
    let kind_range = arguments.start..arguments.start + length;
    parts.arguments = trim(parts.line.text(), kind_range.end..arguments.end);
    let options = healthcheck_options(parts, &mut flags)?;
    match kind.to_ascii_uppercase().as_str() {
        "" => {
            parts.missing("`CMD` and a command, or `NONE`");
            None
        }
        "NONE" if parts.text().is_empty() => {
            if options != HealthcheckOptions::default() {
                let message = "flags of HEALTHCHECK NONE have no effect";
                parts.report(Diagnostic::warning("UselessFlag", parts.span, message));
            }
            Some(Healthcheck::None)
        }
        "NONE" => {
            let span = parts.line.span(&parts.arguments);
            let message = "HEALTHCHECK NONE takes no arguments";
            parts.report(Diagnostic::error("TooManyArguments", span, message));
            None
        }
        "CMD" => {
            let command = command(parts)?;
            if command.is_empty() {
                parts.missing("a command after `CMD`");
                return None;
            }
            Some(Healthcheck::Check { options, command })
        }
        _ => {
            let span = parts.line.span(&kind_range);
            let message = format!("HEALTHCHECK has no type `{kind}`");
            let help = "write `HEALTHCHECK CMD command` or `HEALTHCHECK NONE`";
            parts.report(Diagnostic::error("HealthcheckType", span, message).with_help(help));
            None
        }
    }
}

fn healthcheck_options(parts: &mut Parts<'_>, flags: &mut Flags) -> Option<HealthcheckOptions> {
    let mut options = HealthcheckOptions::default();
    for (name, target) in [
        ("interval", &mut options.interval),
        ("timeout", &mut options.timeout),
        ("start-period", &mut options.start_period),
        ("start-interval", &mut options.start_interval),
    ] {
        let Some(value) = flags.text(name) else {
            continue;
        };
        match parse_duration(&value.value) {
            Some(duration) if duration.is_zero() || duration.as_millis() >= 1 => *target = duration,
            Some(_) => {
                let message = format!("`--{name}={}` is shorter than 1ms", value.value);
                parts.report(Diagnostic::error("InvalidDuration", value.span, message));
                return None;
            }
            None => {
                let message = format!("`--{name}={}` is no duration", value.value);
                let help = "a duration is a number with a unit: `500ms`, `30s`, `1m30s`";
                let diagnostic = Diagnostic::error("InvalidDuration", value.span, message);
                parts.report(diagnostic.with_help(help));
                return None;
            }
        }
    }
    if let Some(value) = flags.text("retries") {
        let parsed = value
            .value
            .parse::<i32>()
            .ok()
            .and_then(|count| u32::try_from(count).ok());
        let Some(retries) = parsed else {
            let message = format!("`--retries={}` is not a number from 0 up", value.value);
            parts.report(Diagnostic::error("InvalidFlagValue", value.span, message));
            return None;
        };
        options.retries = retries;
    }
    Some(options)
}

/// Checks the trigger as far as the reference does and keeps its text.
fn onbuild(parts: &mut Parts<'_>) -> Option<Onbuild> {
    if parts.text().is_empty() {
        parts.missing("an instruction");
        return None;
    }
    let line = parts.line;
    let inner = split(line, parts.arguments.clone());
    let keyword_text = line.spanned(inner.keyword);
    let span = line.span(&parts.arguments);
    match Keyword::read(&keyword_text.value) {
        Some(keyword @ (Keyword::From | Keyword::Maintainer | Keyword::Onbuild)) => {
            parts.report(forbidden_trigger(keyword.name(), keyword_text.span));
            return None;
        }
        Some(keyword) => {
            let mut child = Parts {
                line,
                name: keyword.name(),
                flags: inner.flags,
                arguments: inner.arguments,
                heredocs: parts.heredocs.clone(),
                escape: parts.escape,
                span,
                diagnostics: Vec::new(),
            };
            let _ = body(keyword, &mut child);
            for finding in child.diagnostics {
                parts.report(soften(finding));
            }
        }
        None => parts.report(soften(unknown_instruction(&keyword_text))),
    }
    // The text behind ONBUILD as it is, blanks at its end included.
    let mut trigger = line
        .get(parts.arguments.start..line.text().len())
        .to_owned();
    trigger.truncate(trigger.trim_end_matches('\r').len());
    for heredoc in &parts.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.content);
        trigger.push_str(&heredoc.name);
    }
    Some(Onbuild {
        trigger: Spanned::new(trigger, span),
    })
}

/// A mistake that only matters when the trigger runs becomes a warning.
fn soften(finding: Diagnostic) -> Diagnostic {
    if !finding.is_error() || FATAL_IN_TRIGGER.contains(&finding.name) {
        return finding;
    }
    let message = format!(
        "the trigger will fail in images built from this one: {}",
        finding.message
    );
    let softened = Diagnostic::warning("InvalidTrigger", finding.span, message);
    match finding.help {
        Some(help) => softened.with_help(help),
        None => softened,
    }
}
