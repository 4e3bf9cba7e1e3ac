//! `DL3025`: cMD and ENTRYPOINT are JSON arrays.

use crate::instruction::{CommandForm, Healthcheck, InstructionKind};
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3025",
    level: Level::Warning,
    mode: Mode::OnRequest("JSONArgsRecommended says the same"),
    phase: Phase::Parsing,
    summary: "CMD and ENTRYPOINT are JSON arrays",
    why: "In shell form signals reach the shell and not the program.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nCMD sleep 9\n",
        good: r#"FROM alpine:3.20
CMD ["sleep", "9"]
"#,
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (_, instruction) in subject.all() {
        let kind = &instruction.kind;
        let form = if let InstructionKind::Cmd(form) | InstructionKind::Entrypoint(form) = kind {
            Some(form)
        } else if let InstructionKind::Healthcheck(Healthcheck::Check { command, .. }) = kind {
            Some(command)
        } else {
            None
        };
        let is_shell = form.is_some_and(|form| matches!(form, CommandForm::Shell(_)));
        if is_shell {
            let message = format!("{} in shell form", kind.name());
            out.report(Place::of(instruction), message);
        }
    }
}
