//! `CopyIgnoredFile`: sources that are there.

use crate::ignore::{Patterns, clean};
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "CopyIgnoredFile",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "COPY and ADD take nothing that `.dockerignore` excludes",
    why: "The source is not in the context, and the build fails or copies less than it says. A file with exceptions (`!`) is not judged.",
    example: Example {
        given: Given::Ignore("secrets\n"),
        bad: "FROM scratch\nCOPY secrets /\n",
        good: "FROM scratch\nCOPY app /\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let Some(patterns) = subject.inputs.ignore.as_ref() else {
        return;
    };
    if patterns.has_exceptions() {
        return;
    }
    subject.visit(|visit| {
        let from = visit.instruction.copy().and_then(|copy| copy.from.as_ref());
        let Some(paths) = visit.instruction.paths().filter(|_| from.is_none()) else {
            return;
        };
        for source in &paths.sources {
            let text = visit.scope.expand(source, subject.file.escape).text;
            if is_remote(&text) {
                continue;
            }
            let path = clean(&text);
            if is_ignored(patterns, &path) {
                let name = visit.instruction.kind.name();
                let message = format!("the source `{path}` of {name} is excluded by .dockerignore");
                out.report(visit.place, message);
            }
        }
    });
}

fn is_ignored(patterns: &Patterns, path: &str) -> bool {
    let is_root = matches!(path, "." | "/");
    if is_root && !patterns.exclude_everything() {
        return false;
    }
    patterns.names_or_holds(path)
}

/// URLs and repositories; `COPY` of one is an error of the build.
fn is_remote(source: &str) -> bool {
    let schemes = ["http://", "https://", "git://", "ssh://", "git@"];
    schemes.iter().any(|scheme| source.starts_with(scheme))
}
