//! `DL3002`: the last USER of a stage is not root.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::unquoted;

pub(super) static RULE: Rule = Rule {
    id: "DL3002",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "The last USER of a stage is not root",
    why: "What runs as root in a container has more power than it needs, and more than many clusters allow.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nUSER root\n",
        good: "FROM alpine:3.20\nUSER root\nUSER 1000\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let users = stage.instructions.iter().rev();
        let mut users = users.filter_map(|one| Some((one, one.user()?)));
        let Some((instruction, user)) = users.next() else {
            continue;
        };
        let name = unquoted(&user.raw).split(':').next().unwrap_or_default();
        if matches!(name, "root" | "0") {
            let message = "the last USER of the stage is root";
            out.report(Place::of(instruction), message);
        }
    }
}
