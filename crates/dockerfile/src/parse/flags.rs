//! Flags of instructions: known or refused.

use crate::diagnostic::Diagnostic;
use crate::source::{Span, Spanned, Word};
use crate::suggest::nearest;

use super::logical::Logical;
use super::words::FlagText;

/// How often a flag may occur and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagKind {
    /// `--flag`, `--flag=true`, `--flag=false`.
    Switch,
    /// `--flag=value`, once.
    Value,
    /// `--flag=value`, any number of times.
    Values,
}

use FlagKind::{Switch, Value, Values};

pub(super) type Known = &'static [(&'static str, FlagKind)];

pub(super) const NONE: Known = &[];
pub(super) const FROM: Known = &[("platform", Value)];
pub(super) const COPY: Known = &[
    ("from", Value),
    ("chown", Value),
    ("chmod", Value),
    ("link", Switch),
    ("parents", Switch),
    ("exclude", Values),
];
pub(super) const ADD: Known = &[
    ("chown", Value),
    ("chmod", Value),
    ("link", Switch),
    ("exclude", Values),
    ("checksum", Value),
    ("keep-git-dir", Switch),
    ("unpack", Switch),
];
pub(super) const RUN: Known = &[
    ("mount", Values),
    ("network", Value),
    ("security", Value),
    ("device", Values),
];
pub(super) const HEALTHCHECK: Known = &[
    ("interval", Value),
    ("timeout", Value),
    ("start-period", Value),
    ("start-interval", Value),
    ("retries", Value),
];

/// The flags of one instruction, checked.
pub(super) struct Flags {
    values: Vec<(&'static str, Spanned<String>)>,
}

impl Flags {
    /// Checks flags against those that `instruction` knows. Wrong ones are reported and left out.
    pub(super) fn check(
        flags: &[FlagText],
        line: &Logical,
        instruction: &str,
        known: Known,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut checked = Self { values: Vec::new() };
        for flag in flags {
            match checked.check_one(flag, line, instruction, known) {
                Ok(value) => checked.values.push(value),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
        checked
    }

    fn check_one(
        &self,
        flag: &FlagText,
        line: &Logical,
        instruction: &str,
        known: Known,
    ) -> Result<(&'static str, Spanned<String>), Diagnostic> {
        let span = line.span(&flag.range);
        let body = flag.text.strip_prefix("--").unwrap_or(&flag.text);
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let Some((name, kind)) = known.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(name, instruction, known, span));
        };
        if *kind != Values && self.values.iter().any(|(seen, _)| seen == name) {
            let message = format!("{instruction} has the flag `--{name}` twice");
            return Err(Diagnostic::error("DuplicateFlag", span, message));
        }
        let missing = || {
            let message = format!("the flag `--{name}` of {instruction} needs a value");
            let help = format!("write `--{name}=…`");
            Diagnostic::error("MissingFlagValue", span, message).with_help(help)
        };
        let value = match (kind, value) {
            (Switch, None) => "true",
            (Switch, Some("")) | (Value | Values, None) => return Err(missing()),
            (Switch, Some(value)) if !is_switch(value) => {
                let message = format!("the flag `--{name}` is `true` or `false`, not `{value}`");
                return Err(Diagnostic::error("InvalidFlagValue", span, message));
            }
            (_, Some(value)) => value,
        };
        Ok((name, Spanned::new(value.to_owned(), value_span(flag, line))))
    }

    /// The value of a flag. An empty one means the same as none.
    pub(super) fn text(&mut self, name: &str) -> Option<Spanned<String>> {
        let index = self.values.iter().position(|(known, _)| *known == name)?;
        let (_, value) = self.values.remove(index);
        (!value.value.is_empty()).then_some(value)
    }

    /// The value of a flag, to be expanded.
    pub(super) fn word(&mut self, name: &str) -> Option<Word> {
        self.text(name)
            .map(|value| Word::new(value.value, value.span))
    }

    /// All values of a flag, in order.
    pub(super) fn all(&mut self, name: &str) -> Vec<Spanned<String>> {
        let taken = self.values.extract_if(.., |(known, _)| *known == name);
        taken.map(|(_, value)| value).collect()
    }

    /// The value of a switch, if it is given.
    pub(super) fn switch(&mut self, name: &str) -> Option<bool> {
        self.text(name)
            .map(|value| value.value.eq_ignore_ascii_case("true"))
    }
}

fn is_switch(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

fn unknown(name: &str, instruction: &str, known: Known, span: Span) -> Diagnostic {
    let message = format!("{instruction} has no flag `--{name}`");
    let diagnostic = Diagnostic::error("UnknownFlag", span, message);
    match nearest(name, known.iter().map(|(known, _)| *known)) {
        Some(near) => diagnostic.with_help(format!("did you mean `--{near}`?")),
        None if known.is_empty() => diagnostic.with_help(format!("{instruction} takes no flags")),
        None => {
            let names: Vec<_> = known
                .iter()
                .map(|(known, _)| format!("`--{known}`"))
                .collect();
            diagnostic.with_help(format!("it has {}", names.join(", ")))
        }
    }
}

/// The place of the value: behind the first `=`, else the whole flag.
fn value_span(flag: &FlagText, line: &Logical) -> Span {
    let written = line.get(flag.range.clone());
    let start = written
        .find('=')
        .map_or(flag.range.start, |at| flag.range.start + at + 1);
    line.span(&(start..flag.range.end))
}
