//! `JSONArgsRecommended`: CMD and ENTRYPOINT as arrays.

use crate::instruction::{CommandForm, InstructionKind};
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "JSONArgsRecommended",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "CMD and ENTRYPOINT are JSON arrays",
    why: "In shell form the shell is the process that gets the signals, and the program does not end when it is told to. With a SHELL of its own the file has said that it wants a shell.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nCMD sleep 1000\n",
        good: r#"FROM alpine:3.20
CMD ["sleep", "1000"]
"#,
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let kind = &visit.instruction.kind;
        if let InstructionKind::Cmd(form) | InstructionKind::Entrypoint(form) = kind
            && let CommandForm::Shell(_) = form
            && !visit.scope.has_shell
        {
            let name = kind.name();
            let message =
                format!("{name} in shell form: signals reach the shell and not the program");
            let help = format!(r#"write `{name} ["program", "argument"]`"#);
            out.report_with(visit.place, message, Some(help));
        }
    });
}
