//! `DL3016`: packages of `npm install` have versions.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3016",
    level: Level::Warning,
    mode: Mode::OnRequest("pinning every package is more than most want"),
    phase: Phase::Parsing,
    summary: "Packages of `npm install` have versions",
    why: "The next build installs others otherwise.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM node:22\nRUN npm install -g yo\n",
        good: "FROM node:22\nRUN npm install -g yo@5.0.0\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        for command in run.script.named("npm") {
            let names =
                command.operands_of(&["install"], &["--registry", "--loglevel", "--prefix"]);
            let unpinned = names
                .unwrap_or_default()
                .into_iter()
                .find(|name| !is_pinned(name));
            if let Some(first) = unpinned {
                let message = format!("`npm install` of `{first}` without a version");
                out.report(run.place(), message);
            }
        }
    }
}

fn is_pinned(package: &str) -> bool {
    let is_repository = ["git+", "git:", "git@", "https:", "http:"]
        .iter()
        .any(|start| package.starts_with(start));
    let is_local = ["/", "./", "../", "~/"]
        .iter()
        .any(|start| package.starts_with(start))
        || [".tgz", ".tar", ".tar.gz"]
            .iter()
            .any(|end| package.ends_with(end));
    // A scope begins with `@` too.
    let unscoped = package.strip_prefix('@').unwrap_or(package);
    is_local
        || if is_repository {
            package.contains('#')
        } else {
            unscoped.contains('@')
        }
}
