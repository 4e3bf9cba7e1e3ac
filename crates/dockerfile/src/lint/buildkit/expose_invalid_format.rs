//! `ExposeInvalidFormat`: ports of the container only.

use crate::lint::ports::exposed;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "ExposeInvalidFormat",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "EXPOSE names ports of the container, without address and port of the host",
    why: "Both are ignored; docker announces that they will become an error.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nEXPOSE 127.0.0.1:80:8080\n",
        good: "FROM scratch\nEXPOSE 8080\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        for port in exposed(visit, subject.file.escape) {
            if port.has_host {
                let message = format!("`{}` has a host part, which has no effect", port.text);
                out.report(visit.place, message);
            }
        }
    });
}
