//! `DL3023`: `COPY --from` does not name its own stage.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3023",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "`COPY --from` does not name its own stage",
    why: "A stage cannot be a source of itself.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20 AS build\nCOPY --from=build /a /b\n",
        good: "FROM alpine:3.20 AS build\nFROM scratch\nCOPY --from=build /a /b\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (index, instruction) in subject.all() {
        let from = instruction.copy().and_then(|copy| copy.from.as_ref());
        let own = subject
            .file
            .stages
            .get(index)
            .and_then(|stage| stage.from.stage_name());
        if let (Some(from), Some(own)) = (from, own)
            && from.value == own
        {
            let message = format!("`--from={own}` names the stage itself");
            out.report(Place::of(instruction), message);
        }
    }
}
