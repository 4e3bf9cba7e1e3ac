//! COPY, ADD and VOLUME: lists of paths.

use crate::diagnostic::Diagnostic;
use crate::instruction::{Add, Copy, Heredoc, SourcesAndDestination};
use crate::source::{Spanned, Word};

use super::flags;
use super::heredoc::read_marker;
use super::parts::Parts;
use super::words::split_blanks;

/// The arguments as a JSON array or as words between blanks; `None` if the array is malformed, which is reported.
pub(super) fn words(parts: &mut Parts<'_>) -> Option<Vec<Word>> {
    let line = parts.line;
    if let Some(strings) = parts.json().ok()? {
        let words = strings
            .into_iter()
            .map(|(text, range)| Word::new(text, line.span(&range)));
        return Some(words.collect());
    }
    let ranges = split_blanks(line.text(), parts.arguments.clone());
    Some(ranges.into_iter().map(|range| line.word(range)).collect())
}

pub(super) fn copy(parts: &mut Parts<'_>) -> Option<Copy> {
    let mut flags = parts.flags(flags::COPY);
    let from = flags.text("from");
    if let Some(from) = &from {
        refuse_variable(parts, from)?;
    }
    let paths = sources_and_destination(parts)?;
    Some(Copy {
        from,
        chown: flags.word("chown"),
        chmod: flags.word("chmod"),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.all("exclude"),
        paths,
    })
}

pub(super) fn add(parts: &mut Parts<'_>) -> Option<Add> {
    let mut flags = parts.flags(flags::ADD);
    let paths = sources_and_destination(parts)?;
    Some(Add {
        chown: flags.word("chown"),
        chmod: flags.word("chmod"),
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.all("exclude"),
        checksum: flags.word("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
        paths,
    })
}

fn refuse_variable(parts: &mut Parts<'_>, from: &Spanned<String>) -> Option<()> {
    let has_variable = from
        .value
        .split_once('$')
        .is_some_and(|(_, rest)| !rest.is_empty());
    if has_variable {
        let message = format!("variables are not expanded in `--from={}`", from.value);
        let help = format!(
            "declare the ARG before the first FROM, name a stage with `FROM {} AS name`, and copy \
             from that stage",
            from.value
        );
        let diagnostic = Diagnostic::error("VariableInFrom", from.span, message);
        parts.report(diagnostic.with_help(help));
    }
    (!has_variable).then_some(())
}

fn sources_and_destination(parts: &mut Parts<'_>) -> Option<SourcesAndDestination> {
    let is_json = parts.json().ok()?.is_some();
    let mut words = words(parts)?;
    let destination = words.pop();
    let Some(destination) = destination.filter(|_| !words.is_empty()) else {
        parts.missing("at least two arguments, a source and a destination");
        return None;
    };
    if is_json {
        return Some(SourcesAndDestination {
            sources: words,
            heredocs: Vec::new(),
            destination,
        });
    }
    if read_marker(&destination.raw).is_some() {
        let message = format!("a heredoc cannot be the destination of {}", parts.name);
        parts.report(Diagnostic::error(
            "HeredocDestination",
            destination.span,
            message,
        ));
        return None;
    }
    let (inline, sources): (Vec<_>, Vec<_>) = words
        .into_iter()
        .partition(|word| read_marker(&word.raw).is_some());
    let heredocs: Vec<_> = inline
        .iter()
        .map(|word| find_heredoc(parts, word))
        .collect::<Option<_>>()?;
    refuse_unused(parts, &heredocs)?;
    Some(SourcesAndDestination {
        sources,
        heredocs,
        destination,
    })
}

/// COMPAT(buildkit): of several bodies with one name, the last is meant by all words of that name.
fn find_heredoc(parts: &mut Parts<'_>, word: &Word) -> Option<Heredoc> {
    let name = read_marker(&word.raw)?.name;
    let found = parts
        .heredocs
        .iter()
        .rfind(|heredoc| heredoc.name == name)
        .cloned();
    if found.is_none() {
        let message = format!("the heredoc `{}` has no body", word.raw);
        parts.report(Diagnostic::error("UnterminatedHeredoc", word.span, message));
    }
    found
}

/// A marker whose delimiter contains a blank is one word for the body and several for the arguments.
fn refuse_unused(parts: &mut Parts<'_>, used: &[Heredoc]) -> Option<()> {
    let unused = |heredoc: &&Heredoc| !used.iter().any(|other| other.name == heredoc.name);
    let name = parts
        .heredocs
        .iter()
        .find(unused)
        .map(|heredoc| heredoc.name.clone());
    if let Some(name) = &name {
        let message = format!("the heredoc `{name}` is not a source of {}", parts.name);
        let help = "a delimiter cannot contain blanks here";
        parts.report(Diagnostic::error("InvalidHeredoc", parts.span, message).with_help(help));
    }
    name.is_none().then_some(())
}
