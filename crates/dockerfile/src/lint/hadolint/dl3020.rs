//! `DL3020`: cOPY for what is only copied.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::{ends_in, unquoted};

pub(super) static RULE: Rule = Rule {
    id: "DL3020",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "COPY for what is only copied",
    why: "ADD also downloads and unpacks; whoever reads ADD expects one of both.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nADD app /app\n",
        good: "FROM scratch\nADD app.tar.gz /app\nCOPY readme /\n",
    },
    check,
};

/// What ADD unpacks, or might.
const ARCHIVES: &[&str] = &[
    ".tar", ".Z", ".bz2", ".gz", ".lz", ".lzma", ".tZ", ".tb2", ".tbz", ".tbz2", ".tgz", ".xz",
    ".txz", ".tlz",
];

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (_, instruction) in subject.all() {
        let Some(add) = instruction.add() else {
            continue;
        };
        let sources = add.paths.sources.iter().map(|word| unquoted(&word.raw));
        if let Some(source) = sources.into_iter().find(|source| !needs_add(source)) {
            let message = format!("ADD of `{source}` does what COPY does");
            out.report_with(Place::of(instruction), message, Some("use COPY".to_owned()));
        }
    }
}

fn needs_add(source: &str) -> bool {
    let is_url = ["http://", "https://"]
        .iter()
        .any(|scheme| source.starts_with(scheme));
    is_url || ends_in(source, ARCHIVES)
}
