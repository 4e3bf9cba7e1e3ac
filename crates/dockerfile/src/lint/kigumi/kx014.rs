//! `KX014`: every stage that checks something is built.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::shell::Script;
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX014",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "Every stage that checks something is built",
    why: "A stage that nothing needs is skipped, and a check in it checks nothing.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20 AS app\nFROM example.com/trivy:1 AS scan\nRUN trivy fs --exit-code 1 /\nFROM app\n",
        good: "FROM alpine:3.20 AS app\nFROM example.com/trivy:1 AS scan\nRUN trivy fs --exit-code 1 / && touch /ok\nFROM app\nCOPY --from=scan /ok /ok\n",
    },
    check,
};

/// Programs that fail when they find something.
const CHECKERS: [&str; 9] = [
    "trivy",
    "grype",
    "snyk",
    "gitleaks",
    "trufflehog",
    "hadolint",
    "semgrep",
    "checkov",
    "osv-scanner",
];

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let needed = subject.needed_by_last();
    for (index, stage) in subject.file.stages.iter().enumerate() {
        let mut runs = subject.runs.iter().filter(|run| run.stage == index);
        let checks = |script: &Script| {
            script
                .commands
                .iter()
                .any(|one| CHECKERS.contains(&one.name.as_str()))
        };
        if needed.get(index) == Some(&false) && runs.any(|run| checks(&run.script)) {
            out.report(
                Place::of_from(&stage.from),
                "this stage checks something, and nothing needs it",
            );
        }
    }
}
