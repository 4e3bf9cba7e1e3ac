//! `DL4004`: a stage has one ENTRYPOINT.

use crate::instruction::InstructionKind;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL4004",
    level: Level::Error,
    mode: Mode::OnRequest("MultipleInstructionsDisallowed says the same"),
    phase: Phase::Parsing,
    summary: "A stage has one ENTRYPOINT",
    why: "Only the last one counts.",
    example: Example {
        given: Given::Nothing,
        bad: r#"FROM alpine:3.20
ENTRYPOINT ["a"]
ENTRYPOINT ["b"]
"#,
        good: r#"FROM alpine:3.20
ENTRYPOINT ["b"]
"#,
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let all = stage.instructions.iter();
        let all = all.filter(|one| matches!(one.kind, InstructionKind::Entrypoint(_)));
        for instruction in all.skip(1) {
            out.report(
                Place::of(instruction),
                "the stage has several ENTRYPOINT, and only the last one counts",
            );
        }
    }
}
