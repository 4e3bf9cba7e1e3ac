//! `FromAsCasing`: FROM and AS in the same case.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "FromAsCasing",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "FROM and AS are written in the same case",
    why: "A keyword in another case than its neighbour is hard to read. A FROM in mixed case is left to ConsistentInstructionCasing.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20 as builder\n",
        good: "FROM alpine:3.20 AS builder\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let Some(separator) = &stage.from.as_keyword else {
            continue;
        };
        let from = &stage.from.keyword.value;
        let wanted = if *from == from.to_lowercase() {
            separator.value.to_lowercase()
        } else if *from == from.to_uppercase() {
            separator.value.to_uppercase()
        } else {
            continue;
        };
        if separator.value != wanted {
            let message = format!("`{}` is not in the case of `{from}`", separator.value);
            let help = format!("write `{wanted}`");
            out.report_with(Place::of_from(&stage.from), message, Some(help));
        }
    }
}
