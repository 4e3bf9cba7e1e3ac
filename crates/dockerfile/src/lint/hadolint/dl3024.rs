//! `DL3024`: the names of stages are unique.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    id: "DL3024",
    level: Level::Error,
    mode: Mode::OnRequest("DuplicateStageName says the same"),
    phase: Phase::Parsing,
    summary: "The names of stages are unique",
    why: "Of two stages with one name only the later one can be used by those behind it.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20 AS a\nFROM debian:12 AS a\n",
        good: "FROM alpine:3.20 AS a\nFROM debian:12 AS b\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut seen = BTreeSet::new();
    for stage in &subject.file.stages {
        let name = subject.file.source.slice(stage.written_name());
        if !name.is_empty() && !seen.insert(name) {
            let message = format!("there is another stage `{name}`");
            out.report(Place::of_from(&stage.from), message);
        }
    }
}
