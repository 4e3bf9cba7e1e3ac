//! `DL4003`: a stage has one CMD.

use crate::instruction::InstructionKind;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL4003",
    level: Level::Warning,
    mode: Mode::OnRequest("MultipleInstructionsDisallowed says the same"),
    phase: Phase::Parsing,
    summary: "A stage has one CMD",
    why: "Only the last one counts.",
    example: Example {
        given: Given::Nothing,
        bad: r#"FROM alpine:3.20
CMD ["a"]
CMD ["b"]
"#,
        good: r#"FROM alpine:3.20
CMD ["b"]
"#,
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let all = stage.instructions.iter();
        let all = all.filter(|one| matches!(one.kind, InstructionKind::Cmd(_)));
        for instruction in all.skip(1) {
            out.report(
                Place::of(instruction),
                "the stage has several CMD, and only the last one counts",
            );
        }
    }
}
