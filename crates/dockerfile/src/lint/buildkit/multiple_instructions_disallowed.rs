//! `MultipleInstructionsDisallowed`: one CMD, one ENTRYPOINT, one HEALTHCHECK.

use crate::instruction::InstructionKind;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::source::Span;
use std::collections::BTreeMap;

pub(super) static RULE: Rule = Rule {
    id: "MultipleInstructionsDisallowed",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "A stage has at most one CMD, ENTRYPOINT and HEALTHCHECK",
    why: "Only the last one counts; the finding is about the earlier one, which has no effect. A comment that silences the rule stands above the later one, as with docker.",
    example: Example {
        given: Given::Nothing,
        bad: r#"FROM alpine:3.20
CMD ["a"]
CMD ["b"]
"#,
        good: r#"FROM alpine:3.20
ENTRYPOINT ["a"]
CMD ["b"]
"#,
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut last: BTreeMap<(usize, &str), Span> = BTreeMap::new();
    subject.visit(|visit| {
        let kind = &visit.instruction.kind;
        let is_unique = matches!(
            kind,
            InstructionKind::Cmd(_)
                | InstructionKind::Entrypoint(_)
                | InstructionKind::Healthcheck(_)
        );
        let name = kind.name();
        if !is_unique {
            return;
        }
        if let Some(span) = last.insert((visit.stage, name), visit.place.span) {
            let line = visit.place.span.line;
            let message = format!("this {name} has no effect: another one follows on line {line}");
            let comments = visit.place.comments;
            out.report(Place { span, comments }, message);
        }
    });
}
