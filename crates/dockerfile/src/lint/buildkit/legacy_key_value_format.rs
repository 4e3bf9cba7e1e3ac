//! `LegacyKeyValueFormat`: `=` between names and values.

use crate::instruction::{InstructionKind, KeyValueForm};
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "LegacyKeyValueFormat",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "ENV and LABEL have `=` between name and value",
    why: "Without it the whole rest of the line is the value, which surprises as soon as a second pair is added.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nENV PORT 8080\n",
        good: "FROM scratch\nENV PORT=8080\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let kind = &visit.instruction.kind;
        if let InstructionKind::Env(pairs) | InstructionKind::Label(pairs) = kind
            && pairs.form == KeyValueForm::Blank
        {
            let name = kind.name();
            let message = format!("{name} without `=` between name and value");
            out.report_with(
                visit.place,
                message,
                Some(format!("write `{name} name=value`")),
            );
        }
    });
}
