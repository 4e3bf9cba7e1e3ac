//! `DL3009`: package lists of apt are removed.

use crate::lint::packages::has_mount;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::{Ground, RunView, Subject};

pub(super) static RULE: Rule = Rule {
    id: "DL3009",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "Package lists of apt are removed",
    why: "They are a dozen megabytes of the layer, and outdated the next day.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends curl=8\n",
        good: "FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends curl=8 && rm -rf /var/lib/apt/lists/*\n",
    },
    check,
};

/// Where apt keeps the lists.
const LISTS: &str = "/var/lib/apt/lists";

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in subject.runs.iter().filter(|run| stays(subject, run.stage)) {
        let commands = &run.script.commands;
        let updates = commands.iter().any(|one| {
            ["apt-get", "apt", "aptitude"].contains(&one.name.as_str())
                && one.arguments.iter().any(|word| word == "update")
        });
        let removes = run.script.named("rm").any(|one| {
            let forced = one.has_flag(&["f", "force"]);
            one.arguments.iter().any(|word| is_lists(word, forced))
        });
        if updates && !removes && !is_cached(run) {
            let message = "the package lists of `apt-get update` stay in the layer";
            let help = "add `&& rm -rf /var/lib/apt/lists/*`".to_owned();
            out.report_with(run.place(), message, Some(help));
        }
    }
}

/// COMPAT(hadolint): what is in the directory, by name or wildcard; the directory itself only when `rm` must not fail.
fn is_lists(path: &str, forced: bool) -> bool {
    let inside = path
        .strip_prefix(LISTS)
        .is_some_and(|rest| rest.starts_with('/'));
    inside || forced && path.starts_with("/var/lib/apt")
}

/// Whether layers of a stage are part of an image: of the last one, or of one that others stand on.
fn stays(subject: &Subject<'_>, stage: usize) -> bool {
    stage + 1 == subject.file.stages.len() || subject.grounds.contains(&Ground::Stage(stage))
}

fn is_cached(run: &RunView<'_>) -> bool {
    has_mount(run, &[LISTS])
        || has_mount(run, &["/var/lib/apt"]) && has_mount(run, &["/var/cache/apt"])
}
