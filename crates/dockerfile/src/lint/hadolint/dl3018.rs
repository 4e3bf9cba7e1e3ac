//! `DL3018`: packages of `apk add` have versions.

use crate::lint::packages::apk;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::ends_in;

pub(super) static RULE: Rule = Rule {
    id: "DL3018",
    level: Level::Warning,
    mode: Mode::OnRequest("pinning every package is more than most want"),
    phase: Phase::Parsing,
    summary: "Packages of `apk add` have versions",
    why: "The next build installs others otherwise.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN apk add --no-cache curl\n",
        good: "FROM alpine:3.20\nRUN apk add --no-cache curl=8.5.0-r0\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        let unpinned = apk(&run.script).flat_map(|packages| packages.operands);
        let unpinned: Vec<&str> = unpinned.filter(|name| !is_pinned(name)).collect();
        if let Some(first) = unpinned.first() {
            let message = format!("`apk add` of `{first}` without a version");
            out.report(run.place(), message);
        }
    }
}

fn is_pinned(package: &str) -> bool {
    let is_file = ends_in(package, &[".apk"]);
    is_file || package.contains(['=', '~', '<', '>'])
}
