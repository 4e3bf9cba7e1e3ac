//! `DL3003`: wORKDIR instead of `cd`.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3003",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "WORKDIR instead of `cd`",
    why: "`cd` lasts until the end of its RUN; a WORKDIR is seen by everybody who reads the file.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN cd /app && make\n",
        good: "FROM alpine:3.20\nWORKDIR /app\nRUN make\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        if !run.is_trigger() && run.script.named("cd").next().is_some() {
            let message = "`cd` in RUN ends with the RUN";
            out.report_with(run.place(), message, Some("use WORKDIR".to_owned()));
        }
    }
}
