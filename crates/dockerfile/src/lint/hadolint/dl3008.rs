//! `DL3008`: packages of `apt-get install` have versions.

use crate::lint::packages::apt_get;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::ends_in;

pub(super) static RULE: Rule = Rule {
    id: "DL3008",
    level: Level::Warning,
    mode: Mode::OnRequest("pinning every package is more than most want"),
    phase: Phase::Parsing,
    summary: "Packages of `apt-get install` have versions",
    why: "The next build installs others otherwise.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM debian:12\nRUN apt-get install -y --no-install-recommends curl\n",
        good: "FROM debian:12\nRUN apt-get install -y --no-install-recommends curl=8.5.0-2\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        let unpinned = apt_get(&run.script).flat_map(|packages| packages.operands);
        let unpinned: Vec<&str> = unpinned.filter(|name| !is_pinned(name)).collect();
        if let Some(first) = unpinned.first() {
            let message = format!("`apt-get install` of `{first}` without a version");
            out.report(run.place(), message);
        }
    }
}

fn is_pinned(package: &str) -> bool {
    let is_file = ends_in(package, &[".deb"]);
    package.contains(['=', '/']) || is_file
}
