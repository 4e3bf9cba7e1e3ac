//! `DL3015`: `apt-get install` without recommended packages.

use crate::lint::packages::apt_get;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3015",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "`apt-get install` without recommended packages",
    why: "They make the image larger with what nobody asked for.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM debian:12\nRUN apt-get install -y curl=8\n",
        good: "FROM debian:12\nRUN apt-get install -y --no-install-recommends curl=8\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        for packages in apt_get(&run.script) {
            let command = packages.command;
            let by_option = command
                .arguments
                .iter()
                .any(|word| word.contains("APT::Install-Recommends=false"));
            if !by_option && !command.has_flag(&["no-install-recommends"]) {
                let message = "`apt-get install` also installs what is only recommended";
                out.report_with(
                    run.place(),
                    message,
                    Some("add `--no-install-recommends`".to_owned()),
                );
            }
        }
    }
}
