//! `KX111`: an ARG and an ENV do not share a name.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    id: "KX111",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "An ARG and an ENV do not share a name",
    why: "Whichever comes later wins in RUN, and only the ENV is in the image. `ENV x=$x` hands an argument on and is fine.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nENV mode=fast\nARG mode=slow\n",
        good: "FROM alpine:3.20\nARG mode=slow\nENV mode=$mode\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let mut arguments: BTreeSet<(usize, &str)> = BTreeSet::new();
    let mut variables: BTreeSet<(usize, &str)> = BTreeSet::new();
    for (stage, instruction) in subject.all() {
        let declared = instruction.arg().map(|arg| &arg.declarations);
        for declaration in declared.into_iter().flatten() {
            let name = declaration.name.raw.as_str();
            if variables.contains(&(stage, name)) {
                out.report(
                    Place::of(instruction),
                    format!("the ARG `{name}` replaces an ENV of the same name in RUN"),
                );
            }
            arguments.insert((stage, name));
        }
        for pair in instruction.env().into_iter().flat_map(|env| &env.pairs) {
            let name = pair.key.raw.as_str();
            let hands_on = pair.value.raw.contains(&format!("${name}"))
                || pair.value.raw.contains(&format!("${{{name}"));
            if arguments.contains(&(stage, name)) && !hands_on {
                out.report(
                    Place::of(instruction),
                    format!("the ENV `{name}` replaces an ARG of the same name"),
                );
            }
            variables.insert((stage, name));
        }
    }
}
