//! `KX108`: `--link` without `--chmod`.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX108",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "`--link` without `--chmod`",
    why: "With a mode the link is ignored, and the layer depends on those below it after all.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nCOPY --link --chmod=0755 a /a\n",
        good: "FROM alpine:3.20\nCOPY --link a /a\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let copied = visit
            .instruction
            .copy()
            .is_some_and(|copy| copy.link && copy.chmod.is_some());
        let added = visit
            .instruction
            .add()
            .is_some_and(|add| add.link && add.chmod.is_some());
        if copied || added {
            out.report(
                visit.place,
                "`--link` has no effect together with `--chmod`",
            );
        }
    });
}
