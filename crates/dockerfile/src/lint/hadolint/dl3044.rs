//! `DL3044`: an ENV does not use what it sets itself.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    id: "DL3044",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "An ENV does not use what it sets itself",
    why: "All values of an ENV are computed with the variables as they were before it.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nENV DIR=/app BIN=$DIR/bin\n",
        good: "FROM scratch\nENV DIR=/app\nENV BIN=$DIR/bin\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut stage_now = 0;
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (stage, instruction) in subject.all() {
        if stage != stage_now {
            known.clear();
            stage_now = stage;
        }
        if let Some(arg) = instruction.arg() {
            known.extend(arg.declarations.iter().map(|one| one.name.raw.as_str()));
        }
        let Some(env) = instruction.env() else {
            continue;
        };
        let own: Vec<&str> = env.pairs.iter().map(|pair| pair.key.raw.as_str()).collect();
        for pair in &env.pairs {
            let used = pair.value.expand(&|_| None, subject.file.escape);
            let used = used.unwrap_or_default().undefined;
            let mut used = used.iter().map(String::as_str);
            let wrong = used
                .find(|name| *name != pair.key.raw && own.contains(name) && !known.contains(name));
            if let Some(name) = wrong {
                let message = format!("`${name}` is set by the same ENV, and not yet valid here");
                out.report(Place::of(instruction), message);
            }
        }
        known.extend(own);
    }
}
