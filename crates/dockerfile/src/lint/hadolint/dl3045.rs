//! `DL3045`: a relative destination of COPY needs a WORKDIR.

use crate::instruction::InstructionKind;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::{Ground, Subject};
use crate::lint::text::unquoted;

pub(super) static RULE: Rule = Rule {
    id: "DL3045",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "A relative destination of COPY needs a WORKDIR",
    why: "Without one it depends on the base image.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nCOPY app bin/\n",
        good: "FROM alpine:3.20\nWORKDIR /srv\nCOPY app bin/\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut has_workdir: Vec<bool> = Vec::new();
    for (stage, ground) in subject.file.stages.iter().zip(&subject.grounds) {
        let mut is_set = match ground {
            Ground::Stage(parent) => has_workdir.get(*parent).copied().unwrap_or_default(),
            Ground::Scratch | Ground::Image => false,
        };
        for instruction in &stage.instructions {
            is_set |= matches!(instruction.kind, InstructionKind::Workdir(_));
            let destination = instruction
                .copy()
                .map(|copy| unquoted(&copy.paths.destination.raw));
            if let Some(path) = destination.filter(|path| !is_set && is_relative(path)) {
                let message =
                    format!("the destination `{path}` is relative, and no WORKDIR is set");
                out.report(Place::of(instruction), message);
            }
        }
        has_workdir.push(is_set);
    }
}

fn is_relative(path: &str) -> bool {
    let path = path.trim_start_matches(['"', '\'']);
    let mut start = path.chars();
    let has_drive =
        start.next().is_some_and(|c| c.is_ascii_alphabetic()) && start.next() == Some(':');
    !has_drive && !path.starts_with(['/', '\\', '$'])
}
