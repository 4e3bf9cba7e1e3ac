//! `KX106`: no source of COPY is an empty variable.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX106",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "No source of COPY is an empty variable",
    why: "`COPY $x /` with an empty `x` copies the whole context.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nARG app\nCOPY $app /\n",
        good: "FROM scratch\nARG app=main\nCOPY $app /\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let Some(paths) = visit.instruction.paths() else {
            return;
        };
        for source in &paths.sources {
            let expanded = visit.scope.expand(source, subject.file.escape);
            let is_unknown = expanded
                .undefined
                .iter()
                .any(|name| !visit.scope.is_declared(name) && !visit.scope.is_undefined(name));
            if source.raw.starts_with('$') && expanded.text.is_empty() && !is_unknown {
                out.report(
                    visit.place,
                    format!(
                        "the source `{}` is empty here, which means the whole context",
                        source.raw
                    ),
                );
            }
        }
    });
}
