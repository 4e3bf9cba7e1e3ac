//! `KX102`: mounts that a pod without mount rights has to imitate.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX102",
    level: Level::Info,
    mode: Mode::OnRequest("it is no mistake"),
    phase: Phase::Building,
    summary: "Mounts that a pod without mount rights has to imitate",
    why: "The files are put in place before the RUN and taken away after it; a large mount costs a copy.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN --mount=type=bind,target=/src true\n",
        good: "FROM alpine:3.20\nRUN true\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        if !run.run.mounts.is_empty() {
            out.report(
                run.place(),
                "the mounts of this RUN are imitated in a pod without mount rights",
            );
        }
    }
}
