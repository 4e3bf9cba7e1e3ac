//! `ReservedStageName`: names that mean something else.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "ReservedStageName",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "No stage is called `scratch` or `context`",
    why: "Both names have a meaning of their own in FROM and in `--from`.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20 AS scratch\n",
        good: "FROM alpine:3.20 AS base\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        if let Some(name @ ("scratch" | "context")) = stage.from.stage_name() {
            let message = format!("`{name}` is reserved and should not be the name of a stage");
            out.report(Place::of_from(&stage.from), message);
        }
    }
}
