//! `WorkdirRelativePath`: an absolute path first.

use crate::instruction::InstructionKind;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "WorkdirRelativePath",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "The first WORKDIR of a stage is absolute",
    why: "A relative one depends on the working directory of the base image, which may change.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nWORKDIR app\n",
        good: "FROM alpine:3.20\nWORKDIR /app\nWORKDIR sub\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let InstructionKind::Workdir(path) = &visit.instruction.kind else {
            return;
        };
        let path = visit.scope.expand(path, subject.file.escape).text;
        if !visit.scope.has_workdir && !path.starts_with('/') {
            let message =
                format!("the directory `{path}` is relative to whatever the base image has set");
            out.report_with(visit.place, message, Some(format!("write `/{path}`")));
        }
    });
}
