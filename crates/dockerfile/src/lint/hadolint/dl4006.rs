//! `DL4006`: a RUN with a pipe has `pipefail`.

use crate::instruction::InstructionKind;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::shell::Script;
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL4006",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "A RUN with a pipe has `pipefail`",
    why: "The status of a pipeline is that of its last command; what fails before it goes unnoticed.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM debian:12\nRUN make | tee log\n",
        good: r#"FROM debian:12
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN make | tee log
"#,
    },
    check,
};

/// Shells that have the option.
const SHELLS: [&str; 5] = ["ash", "bash", "ksh", "mksh", "zsh"];

/// Shells that are not of the kind.
const OTHERS: [&str; 3] = ["cmd", "powershell", "pwsh"];

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut at = usize::MAX;
    let mut is_safe = false;
    for (stage, instruction) in subject.all() {
        if stage != at {
            (at, is_safe) = (stage, false);
        }
        if let InstructionKind::Shell(words) = &instruction.kind {
            is_safe = has_pipefail(words);
        }
        let run = instruction.run().filter(|_| !is_safe);
        if run.is_some_and(|run| Script::of(run).has_pipe) {
            let message = "a pipe without `pipefail`: only the last command can fail";
            let help = r#"add `SHELL ["/bin/bash", "-o", "pipefail", "-c"]` above"#.to_owned();
            out.report_with(Place::of(instruction), message, Some(help));
        }
    }
}

fn has_pipefail(shell: &[String]) -> bool {
    let program = shell.first().map(String::as_str).unwrap_or_default();
    let program = program.rsplit(['/', '\\']).next().unwrap_or_default();
    let program = program.strip_suffix(".exe").unwrap_or(program);
    let mut pairs = shell.iter().zip(shell.iter().skip(1));
    let is_set = pairs
        .any(|(flag, value)| flag.starts_with('-') && flag.ends_with('o') && value == "pipefail");
    OTHERS.contains(&program) || SHELLS.contains(&program) && is_set
}
