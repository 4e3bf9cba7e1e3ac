//! `RedundantTargetPlatform`: no `--platform=$TARGETPLATFORM`.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "RedundantTargetPlatform",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "FROM does not say `--platform=$TARGETPLATFORM`",
    why: "That is the default.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM --platform=$TARGETPLATFORM alpine:3.20\n",
        good: "FROM --platform=$BUILDPLATFORM alpine:3.20\n",
    },
    check,
};

const TARGET: &str = "TARGETPLATFORM";

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let Some(word) = &stage.from.platform else {
            continue;
        };
        let expanded = subject.evaluate(word, &subject.globals);
        let is_alone = expanded.unknown.is_empty() && expanded.known.iter().eq([TARGET]);
        if is_alone && expanded.text == subject.globals.value(TARGET) {
            let message = format!("`--platform={}` is the default", word.raw);
            out.report(Place::of_from(&stage.from), message);
        }
    }
}
