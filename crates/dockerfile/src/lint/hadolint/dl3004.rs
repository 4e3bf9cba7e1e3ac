//! `DL3004`: no `sudo`.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3004",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "No `sudo`",
    why: "There is no need for it: RUN is root unless USER says otherwise, and `sudo` behaves unpredictably without a terminal.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN sudo make install\n",
        good: "FROM alpine:3.20\nRUN make install\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        if run.script.named("sudo").next().is_some() {
            out.report(run.place(), "`sudo` is not needed in RUN");
        }
    }
}
