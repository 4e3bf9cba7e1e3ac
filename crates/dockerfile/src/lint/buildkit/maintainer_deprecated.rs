//! `MaintainerDeprecated`: a label instead of MAINTAINER.

use crate::instruction::InstructionKind;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "MaintainerDeprecated",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "MAINTAINER is not used",
    why: "The instruction is deprecated; the label `org.opencontainers.image.authors` says the same, and tools read it.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nMAINTAINER ann@example.com\n",
        good: "FROM alpine:3.20\nLABEL org.opencontainers.image.authors=ann@example.com\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (_, instruction) in subject.all() {
        if let InstructionKind::Maintainer(_) = &instruction.kind {
            let help = "use `LABEL org.opencontainers.image.authors=…`".to_owned();
            out.report_with(
                Place::of(instruction),
                "MAINTAINER is deprecated",
                Some(help),
            );
        }
    }
}
