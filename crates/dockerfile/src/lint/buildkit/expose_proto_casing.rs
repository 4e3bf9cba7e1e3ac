//! `ExposeProtoCasing`: protocols in lower case.

use crate::lint::ports::exposed;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "ExposeProtoCasing",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "The protocol in EXPOSE is in lower case",
    why: "That is how it ends up in the image.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nEXPOSE 80/TCP\n",
        good: "FROM scratch\nEXPOSE 80/tcp\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        for port in exposed(visit, subject.file.escape) {
            if port.protocol != port.protocol.to_lowercase() {
                let message = format!("the protocol of `{}` is not in lower case", port.text);
                out.report(visit.place, message);
            }
        }
    });
}
