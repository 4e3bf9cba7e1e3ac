//! `KX107`: several sources go to a directory.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX107",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "Several sources go to a directory",
    why: "Without `/` at its end the destination is a file, and the last source wins.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nADD a b /dir\n",
        good: "FROM scratch\nADD a b /dir/\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let Some(paths) = visit.instruction.paths() else {
            return;
        };
        let destination = visit
            .scope
            .expand(&paths.destination, subject.file.escape)
            .text;
        let count = paths.sources.len() + paths.heredocs.len();
        if count > 1 && !destination.ends_with('/') && !matches!(destination.as_str(), "." | "..") {
            let message = format!(
                "{count} sources for `{destination}`, which does not end in `/`: the last one wins"
            );
            out.report_with(
                visit.place,
                message,
                Some(format!("write `{destination}/`")),
            );
        }
    });
}
