//! `DL3013`: packages of `pip install` have versions.

use crate::lint::packages::pip;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::shell::Command;
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3013",
    level: Level::Warning,
    mode: Mode::OnRequest("pinning every package is more than most want"),
    phase: Phase::Parsing,
    summary: "Packages of `pip install` have versions",
    why: "The next build installs others otherwise. A file of requirements or constraints counts.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM python:3.12\nRUN pip install --no-cache-dir flask\n",
        good: "FROM python:3.12\nRUN pip install --no-cache-dir flask==3.0.0\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        for packages in pip(&run.script) {
            let unpinned = packages.operands.iter().find(|name| !is_pinned(name));
            if let Some(first) = unpinned.filter(|_| !is_constrained(packages.command)) {
                let message = format!("`pip install` of `{first}` without a version");
                out.report(run.place(), message);
            }
        }
    }
}

/// Versions come from a file.
fn is_constrained(command: &Command) -> bool {
    let flags = ["-r", "-c", "--requirement", "--constraint"];
    command
        .arguments
        .iter()
        .any(|word| flags.contains(&word.split('=').next().unwrap_or_default()))
}

fn is_pinned(package: &str) -> bool {
    let is_local = [".", "/"].iter().any(|start| package.starts_with(start))
        || [".whl", ".tar.gz", ".zip"]
            .iter()
            .any(|end| package.ends_with(end));
    let has_version = ["=", "<", ">", "~", "!", "@"]
        .iter()
        .any(|sign| package.contains(sign));
    is_local || has_version
}
