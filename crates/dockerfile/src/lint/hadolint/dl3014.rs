//! `DL3014`: `apt-get install` does not ask.

use crate::lint::packages::apt_get;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3014",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "`apt-get install` does not ask",
    why: "Nobody is there to answer: without `-y` the build fails.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM debian:12\nRUN apt-get install --no-install-recommends curl=8\n",
        good: "FROM debian:12\nRUN apt-get install -y --no-install-recommends curl=8\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        for packages in apt_get(&run.script) {
            let command = packages.command;
            let is_quiet =
                command.count_flag("q") > 1 || command.arguments.iter().any(|word| word == "-q=2");
            if !is_quiet && !command.has_flag(&["y", "yes", "assume-yes"]) {
                let message = "`apt-get install` asks, and nobody answers";
                out.report_with(run.place(), message, Some("add `-y`".to_owned()));
            }
        }
    }
}
