//! `KX113`: `# syntax=` names the frontend of docker.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX113",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "`# syntax=` names the frontend of docker",
    why: "No frontend is ever downloaded: the built-in language applies, whatever the directive says.",
    example: Example {
        given: Given::Nothing,
        bad: "# syntax=example.com/frontend:1\nFROM scratch\n",
        good: "# syntax=docker/dockerfile:1\nFROM scratch\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let warnings = subject.file.warnings.iter();
    for warning in warnings.filter(|warning| warning.name == "UnknownFrontend") {
        let place = Place {
            span: warning.span,
            comments: &[],
        };
        out.report(place, &warning.message);
    }
}
