//! `DL3019`: `apk add` without a cache.

use crate::lint::packages::{apk, has_mount};
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3019",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "`apk add` without a cache",
    why: "The index stays in the layer otherwise.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN apk add curl=8.5.0-r0\n",
        good: "FROM alpine:3.20\nRUN apk add --no-cache curl=8.5.0-r0\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        for packages in apk(&run.script) {
            let is_mounted = has_mount(run, &["/var/cache/apk"]);
            if !is_mounted && !packages.command.has_flag(&["no-cache"]) {
                let message = "`apk add` leaves its index in the layer";
                out.report_with(run.place(), message, Some("add `--no-cache`".to_owned()));
            }
        }
    }
}
