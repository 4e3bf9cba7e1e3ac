//! `DL3057`: a stage has a HEALTHCHECK.

use crate::instruction::InstructionKind;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::{Ground, Subject};

pub(super) static RULE: Rule = Rule {
    id: "DL3057",
    level: Level::Info,
    mode: Mode::OnRequest("Kubernetes does not look at it"),
    phase: Phase::Parsing,
    summary: "A stage has a HEALTHCHECK",
    why: "Docker restarts what does not answer; Kubernetes has probes of its own and ignores it.",
    example: Example {
        given: Given::Nothing,
        bad: r#"FROM alpine:3.20
CMD ["sh"]
"#,
        good: r#"FROM alpine:3.20
HEALTHCHECK CMD ["true"]
CMD ["sh"]
"#,
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut checked: Vec<bool> = Vec::new();
    for (stage, ground) in subject.file.stages.iter().zip(&subject.grounds) {
        let own = stage
            .instructions
            .iter()
            .any(|one| matches!(one.kind, InstructionKind::Healthcheck(_)));
        let inherited = match ground {
            Ground::Stage(parent) => checked.get(*parent).copied().unwrap_or_default(),
            Ground::Scratch | Ground::Image => false,
        };
        checked.push(own || inherited);
    }
    for (stage, _) in subject
        .file
        .stages
        .iter()
        .zip(checked)
        .filter(|(_, checked)| !checked)
    {
        out.report(Place::of_from(&stage.from), "the stage has no HEALTHCHECK");
    }
}
