//! `KX103`: cache mounts have an id.

use crate::instruction::MountKey;
use crate::lint::kigumi::is_of;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX103",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "Cache mounts have an id",
    why: "Without one the path is the id, and every Dockerfile that uses the path shares the cache.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM golang:1.23\nRUN --mount=type=cache,target=/root/.cache true\n",
        good: "FROM golang:1.23\nRUN --mount=type=cache,id=my-app-go,target=/root/.cache true\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        for mount in run.run.mounts.iter().filter(|mount| is_of(mount, "cache")) {
            if !mount
                .options
                .iter()
                .any(|option| option.key == MountKey::Id)
            {
                out.report_with(
                    run.place(),
                    "a cache mount has no id",
                    Some("add `id=…`".to_owned()),
                );
            }
        }
    }
}
