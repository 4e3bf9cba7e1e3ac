//! `DL3011`: ports are below 65536.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::unquoted;

pub(super) static RULE: Rule = Rule {
    id: "DL3011",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "Ports are below 65536",
    why: "There are no others.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nEXPOSE 80000\n",
        good: "FROM scratch\nEXPOSE 8000\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (_, instruction) in subject.all() {
        let ports = instruction.expose().map(|expose| &expose.ports);
        for word in ports.into_iter().flatten() {
            let text = unquoted(&word.raw);
            let numbers = text.split('/').next().unwrap_or_default().split(['-', ':']);
            let is_too_large = |number: &str| {
                let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                is_number && number.parse::<u16>().is_err()
            };
            if numbers.into_iter().any(is_too_large) {
                out.report(
                    Place::of(instruction),
                    format!("`{text}` is no port: the last is 65535"),
                );
            }
        }
    }
}
