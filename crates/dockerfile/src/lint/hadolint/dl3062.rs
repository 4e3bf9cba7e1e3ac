//! `DL3062`: `go install` and `go run` have versions.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::ends_in;

pub(super) static RULE: Rule = Rule {
    id: "DL3062",
    level: Level::Warning,
    mode: Mode::OnRequest("pinning every package is more than most want"),
    phase: Phase::Parsing,
    summary: "`go install` and `go run` have versions",
    why: "`@latest` is another program tomorrow.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM golang:1.23\nRUN go install example.com/tool@latest\n",
        good: "FROM golang:1.23\nRUN go install example.com/tool@v1.2.3\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        for command in run.script.named("go") {
            let names = command.operands_of(
                &["install", "get", "run"],
                &["-ldflags", "-tags", "-mod", "-o"],
            );
            let unpinned = names
                .unwrap_or_default()
                .into_iter()
                .find(|name| !is_pinned(name));
            if let Some(first) = unpinned {
                let message = format!("`go` fetches `{first}` without a version");
                out.report(run.place(), message);
            }
        }
    }
}

fn is_pinned(package: &str) -> bool {
    let is_local = package.starts_with(['.', '/']) || ends_in(package, &[".go"]);
    let version = package.split_once('@').map(|(_, version)| version);
    is_local || version.is_some_and(|version| version != "latest")
}
