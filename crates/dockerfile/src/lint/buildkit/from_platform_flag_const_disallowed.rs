//! `FromPlatformFlagConstDisallowed`: no fixed platform.

use crate::lint::platform::parse;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "FromPlatformFlagConstDisallowed",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "`FROM --platform` is not a constant",
    why: "The file then builds for that platform only. A stage whose name has the operating system or the architecture in it means it.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM --platform=linux/amd64 alpine:3.20 AS base\n",
        good: "FROM --platform=linux/amd64 alpine:3.20 AS base-amd64\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let Some(word) = &stage.from.platform else {
            continue;
        };
        let expanded = subject.evaluate(word, &subject.globals);
        if !expanded.known.is_empty() || !expanded.unknown.is_empty() {
            continue;
        }
        let text = expanded.text.unwrap_or_default();
        let Some((system, architecture)) = parse(&text, &subject.inputs.host) else {
            continue;
        };
        let name = stage.from.stage_name().unwrap_or_default();
        if !name.contains(&system) && !name.contains(&architecture) {
            let message = format!("`--platform={text}` is a constant");
            let help =
                "use `$BUILDPLATFORM` or nothing, or name the stage after the platform".to_owned();
            out.report_with(Place::of_from(&stage.from), message, Some(help));
        }
    }
}
