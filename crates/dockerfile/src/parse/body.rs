//! The parser of each instruction, and those that are too short for a file of their own.

use crate::diagnostic::Diagnostic;
use crate::instruction::{Expose, InstructionKind, Volume};
use crate::source::Spanned;

use super::arguments::{command, key_values, rest_of_line, shell, variables};
use super::flags;
use super::healthcheck::healthcheck;
use super::keyword::Keyword;
use super::onbuild::onbuild;
use super::parts::Parts;
use super::words::split_blanks;
use super::{paths, run};

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
