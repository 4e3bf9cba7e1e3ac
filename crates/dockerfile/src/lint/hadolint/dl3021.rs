//! `DL3021`: several sources need a destination that ends in `/`.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::unquoted;

pub(super) static RULE: Rule = Rule {
    id: "DL3021",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "Several sources need a destination that ends in `/`",
    why: "Otherwise the destination is a file, and the last source replaces the others.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nCOPY a b /dir\n",
        good: "FROM scratch\nCOPY a b /dir/\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (_, instruction) in subject.all() {
        let Some(copy) = instruction.copy() else {
            continue;
        };
        let destination = unquoted(&copy.paths.destination.raw);
        let count = copy.paths.sources.len() + copy.paths.heredocs.len();
        if count > 1 && !destination.ends_with('/') {
            let message = format!(
                "{count} sources and the destination `{destination}`, which does not end in `/`"
            );
            out.report_with(
                Place::of(instruction),
                message,
                Some(format!("write `{destination}/`")),
            );
        }
    }
}
