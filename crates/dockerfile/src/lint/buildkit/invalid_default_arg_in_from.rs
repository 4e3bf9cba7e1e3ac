//! `InvalidDefaultArgInFrom`: FROM that works without build arguments.

use crate::lint::reference::is_reference;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "InvalidDefaultArgInFrom",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "With the defaults of the global ARGs every FROM names an image",
    why: "Whoever builds the file without `--build-arg` gets an error otherwise.",
    example: Example {
        given: Given::BuildArgument("TAG", "3.20"),
        bad: "ARG TAG\nFROM alpine:${TAG}\n",
        good: "ARG TAG=3.20\nFROM alpine:${TAG}\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let defaults = subject.default_globals();
    for stage in &subject.file.stages {
        let word = &stage.from.base;
        // What cannot be expanded is an error of the build.
        let Some(name) = subject.evaluate(word, &defaults).text else {
            return;
        };
        if !is_reference(&name) {
            let message = format!(
                "without build arguments `{}` is `{name}`, which is no image",
                word.raw
            );
            let help = "give the ARG a default".to_owned();
            out.report_with(Place::of_from(&stage.from), message, Some(help));
        }
    }
}
