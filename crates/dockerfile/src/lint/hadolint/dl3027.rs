//! `DL3027`: `apt-get` or `apt-cache` instead of `apt`.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3027",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "`apt-get` or `apt-cache` instead of `apt`",
    why: "`apt` is made for people: its output and its flags may change.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM debian:12\nRUN apt install -y curl=8\n",
        good: "FROM debian:12\nRUN apt-get install -y --no-install-recommends curl=8\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        if run.script.named("apt").next().is_some() {
            let message = "`apt` is made for people";
            out.report_with(
                run.place(),
                message,
                Some("use `apt-get` or `apt-cache`".to_owned()),
            );
        }
    }
}
