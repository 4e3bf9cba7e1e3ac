//! `DL3067`: no copy of a whole root filesystem.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::unquoted;
use crate::source::Word;

pub(super) static RULE: Rule = Rule {
    id: "DL3067",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "No copy of a whole root filesystem",
    why: "`COPY --from=… / /` brings along caches, package lists and whatever else is there.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20 AS build\nFROM scratch\nCOPY --from=build / /\n",
        good: "FROM alpine:3.20 AS build\nFROM scratch\nCOPY --from=build /app /app\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (_, instruction) in subject.all() {
        let Some(copy) = instruction.copy().filter(|copy| copy.from.is_some()) else {
            continue;
        };
        let is_root = |word: &Word| unquoted(&word.raw) == "/";
        if is_root(&copy.paths.destination) && copy.paths.sources.iter().any(is_root) {
            out.report(Place::of(instruction), "a whole root filesystem is copied");
        }
    }
}
