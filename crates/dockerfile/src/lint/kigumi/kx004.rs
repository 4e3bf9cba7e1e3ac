//! `KX004`: no credentials in URLs.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX004",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "No credentials in URLs",
    why: "They end up in the history of the image, and in every log that shows the instruction.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN git clone https://ann:hunter2@example.com/a.git\n",
        good: "FROM alpine:3.20\nRUN --mount=type=secret,id=netrc,target=/root/.netrc git clone https://example.com/a.git\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let froms = subject
        .file
        .stages
        .iter()
        .map(|stage| (stage.from.span, Place::of_from(&stage.from)));
    let others = subject
        .file
        .global_args
        .iter()
        .chain(subject.all().map(|(_, one)| one));
    for (span, place) in froms.chain(others.map(|one| (one.span, Place::of(one)))) {
        // The value itself must not be repeated.
        if has_credentials(subject.file.source.slice(span)) {
            out.report(place, "a URL has a password in it");
        }
    }
}

/// `scheme://user:password@`, the password written out.
fn has_credentials(text: &str) -> bool {
    text.match_indices("://").any(|(at, separator)| {
        let rest = text.get(at + separator.len()..).unwrap_or_default();
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\''))
            .unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        let password = user
            .and_then(|user| user.split_once(':'))
            .map(|(_, password)| password);
        password.is_some_and(|password| !password.is_empty() && !password.starts_with('$'))
    })
}
