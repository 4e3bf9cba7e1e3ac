//! `NoEmptyContinuation`: no empty lines in continued instructions.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "NoEmptyContinuation",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "A continued instruction has no empty lines",
    why: "An empty line looks like the end of the instruction and is not; docker announces that it will become an error. A comment line may stand there.",
    example: Example {
        given: Given::Nothing,
        bad: r"FROM alpine:3.20
RUN echo a && \

    echo b
",
        good: r"FROM alpine:3.20
RUN echo a && \
    # then
    echo b
",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    // The parser has seen it: the tree has no empty lines.
    let warnings = subject.file.warnings.iter();
    for warning in warnings.filter(|warning| warning.name == RULE.id) {
        let place = Place {
            span: warning.span,
            comments: &[],
        };
        out.report_with(place, &warning.message, warning.help.clone());
    }
}
