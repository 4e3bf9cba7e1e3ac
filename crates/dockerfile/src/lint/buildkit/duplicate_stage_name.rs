//! `DuplicateStageName`: names of stages that are unique.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use std::collections::BTreeMap;

pub(super) static RULE: Rule = Rule {
    id: "DuplicateStageName",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "The names of stages are unique",
    why: "Of two stages with one name only the later one can be used by those behind it.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20 AS builder\nFROM debian:12 AS builder\n",
        good: "FROM alpine:3.20 AS builder\nFROM debian:12 AS runtime\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for stage in &subject.file.stages {
        let Some(name) = stage.from.stage_name() else {
            continue;
        };
        if let Some(line) = seen.insert(name, stage.from.span.line) {
            let message = format!("a stage `{name}` exists already, on line {line}");
            out.report(Place::of_from(&stage.from), message);
        }
    }
}
