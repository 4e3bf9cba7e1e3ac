//! `DL3042`: `pip install` without a cache.

use crate::lint::packages::{has_mount, pip};
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::{RunView, Subject};

pub(super) static RULE: Rule = Rule {
    id: "DL3042",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "`pip install` without a cache",
    why: "The wheels stay in the layer otherwise.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM python:3.12\nRUN pip install flask==3.0.0\n",
        good: "FROM python:3.12\nRUN pip install --no-cache-dir flask==3.0.0\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        let is_mounted = has_mount(run, &["/root/.cache/pip"]);
        if is_mounted || is_switched_off(subject, run) {
            continue;
        }
        let mut installs = pip(&run.script);
        let keeps_cache = installs.any(|packages| {
            let is_set = packages
                .command
                .assignments
                .iter()
                .any(|word| switches_off(word));
            packages.command.name != "pipx"
                && !is_set
                && !packages.command.has_flag(&["no-cache-dir"])
        });
        if keeps_cache {
            let message = "`pip install` leaves its cache in the layer";
            out.report_with(
                run.place(),
                message,
                Some("add `--no-cache-dir`".to_owned()),
            );
        }
    }
}

/// By an ENV above the RUN, in its stage or in one that the stage stands on.
fn is_switched_off(subject: &Subject<'_>, run: &RunView<'_>) -> bool {
    let stages = subject.chain_of(run.stage);
    let stages = stages.filter_map(|stage| subject.file.stages.get(stage));
    stages
        .flat_map(|stage| &stage.instructions)
        .filter(|one| one.span.start < run.instruction.span.start)
        .filter_map(|one| one.env())
        .flat_map(|env| &env.pairs)
        .any(|pair| switches_off(&format!("{}={}", pair.key.raw, pair.value.raw)))
}

fn switches_off(assignment: &str) -> bool {
    let value = assignment
        .strip_prefix("PIP_NO_CACHE_DIR=")
        .map(|value| value.trim_matches(['"', '\'']));
    value.is_some_and(|value| matches!(value.to_lowercase().as_str(), "1" | "true" | "on" | "yes"))
}
