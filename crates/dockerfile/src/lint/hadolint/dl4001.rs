//! `DL4001`: one of `wget` and `curl`.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    id: "DL4001",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "One of `wget` and `curl`",
    why: "Both in one stage are one program too many.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN wget -q https://example.com/a\nRUN curl https://example.com/b\n",
        good: "FROM alpine:3.20\nRUN wget -q https://example.com/a && wget -q https://example.com/b\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut seen: BTreeSet<(usize, &str)> = BTreeSet::new();
    for run in &subject.runs {
        let mut uses_one = false;
        for name in ["curl", "wget"] {
            if run.script.named(name).next().is_some() {
                uses_one = true;
                seen.insert((run.stage, name));
            }
        }
        let both = ["curl", "wget"]
            .iter()
            .all(|name| seen.contains(&(run.stage, name)));
        if uses_one && both {
            out.report(run.place(), "the stage uses both `wget` and `curl`");
        }
    }
}
