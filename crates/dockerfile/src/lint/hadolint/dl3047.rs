//! `DL3047`: `wget` without a progress bar.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::shell::Command;
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3047",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "`wget` without a progress bar",
    why: "It fills the log with thousands of lines.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN wget https://example.com/a\n",
        good: "FROM alpine:3.20\nRUN wget -q https://example.com/a\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        let is_loud = |command: &Command| {
            let long = [
                "progress",
                "quiet",
                "no-verbose",
                "output-file",
                "append-output",
            ];
            let short = ["q", "o", "a"];
            let no_verbose = command.arguments.iter().any(|word| word == "-nv");
            !no_verbose && !command.has_flag(&long) && !command.has_flag(&short)
        };
        if run.script.named("wget").any(is_loud) {
            let message = "`wget` draws a progress bar into the log";
            out.report_with(
                run.place(),
                message,
                Some("add `-q` or `--progress=dot:giga`".to_owned()),
            );
        }
    }
}
