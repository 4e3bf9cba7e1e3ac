//! `KX007`: what is copied is not removed by a later RUN.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::unquoted;

pub(super) static RULE: Rule = Rule {
    id: "KX007",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "What is copied is not removed by a later RUN",
    why: "It stays in the layer below, and everybody can read it there.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nCOPY token /tmp/token\nRUN rm /tmp/token\n",
        good: "FROM alpine:3.20\nRUN --mount=type=secret,id=token true\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        let stage = subject.file.stages.get(run.stage);
        let above = stage.into_iter().flat_map(|stage| &stage.instructions);
        let above = above.take_while(|one| one.span.start < run.instruction.span.start);
        let copied: Vec<&str> = above
            .filter_map(|one| one.paths())
            .map(|paths| unquoted(&paths.destination.raw))
            .filter(|path| path.starts_with('/') && path.trim_end_matches('/').len() > 1)
            .collect();
        let removed = run.script.named("rm").flat_map(|one| &one.arguments);
        for path in removed.filter(|path| copied.contains(&path.as_str())) {
            out.report(
                run.place(),
                format!("`{path}` was copied by an earlier instruction and stays in its layer"),
            );
        }
    }
}
