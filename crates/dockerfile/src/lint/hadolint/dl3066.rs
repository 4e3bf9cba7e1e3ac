//! `DL3066`: USER is a number.

use std::collections::BTreeSet;

use crate::instruction::Instruction;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::unquoted;

pub(super) static RULE: Rule = Rule {
    id: "DL3066",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "USER is a number",
    why: "Kubernetes can check `runAsNonRoot` for numbers only.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nUSER app\n",
        good: "FROM alpine:3.20\nUSER 1000\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let globals = subject.file.global_args.iter();
    let mut arguments: BTreeSet<&str> = globals.flat_map(names).collect();
    for (_, instruction) in subject.all() {
        arguments.extend(names(instruction));
        let Some(user) = instruction.user() else {
            continue;
        };
        let name = unquoted(&user.raw).split(':').next().unwrap_or_default();
        // Nothing before the colon is root, as a number is.
        let is_number = name.bytes().all(|b| b.is_ascii_digit());
        // An argument is chosen by whoever builds; with a default behind it the file has chosen.
        let uses = |name: &&str| {
            user.raw.contains(&format!("${{{name}}}")) || user.raw.contains(&format!("${name}"))
        };
        let is_chosen = arguments.iter().any(uses);
        if !is_number && !is_chosen {
            let message = format!("the user `{name}` is not a number");
            out.report(Place::of(instruction), message);
        }
    }
}

fn names(instruction: &Instruction) -> impl Iterator<Item = &str> {
    let declarations = instruction
        .arg()
        .into_iter()
        .flat_map(|arg| &arg.declarations);
    declarations.map(|one| one.name.raw.as_str())
}
