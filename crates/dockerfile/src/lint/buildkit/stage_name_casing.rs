//! `StageNameCasing`: names of stages in lower case.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "StageNameCasing",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "The name of a stage is in lower case",
    why: "Names are compared without case, so capitals only suggest a difference that does not exist.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20 AS Builder\n",
        good: "FROM alpine:3.20 AS builder\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let Some(name) = &stage.from.name else {
            continue;
        };
        let written = subject.file.source.slice(name.span);
        if written != written.to_lowercase() {
            let message = format!("the name of stage `{written}` has capitals");
            let help = format!("write `{}`", name.value);
            out.report_with(Place::of_from(&stage.from), message, Some(help));
        }
    }
}
