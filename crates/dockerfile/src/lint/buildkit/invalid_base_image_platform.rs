//! `InvalidBaseImagePlatform`: base images of the right platform.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Ground;
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "InvalidBaseImagePlatform",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "The base image is of the platform that was asked for",
    why: "Programs of another architecture fail when the image runs, or run slowly in an emulator.",
    example: Example {
        given: Given::BasePlatform("linux/arm64"),
        bad: "FROM example.com/arm-only:1\n",
        good: "FROM scratch\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let stages = subject.file.stages.iter().enumerate();
    for (index, stage) in stages {
        let is_used = subject.needed.get(index) == Some(&true);
        let base = subject.inputs.bases.get(index).and_then(Option::as_ref);
        let Some(base) =
            base.filter(|_| is_used && subject.grounds.get(index) == Some(&Ground::Image))
        else {
            continue;
        };
        if let (Some(found), Some(wanted)) = (&base.platform, &base.wanted)
            && found != wanted
        {
            let name = subject
                .bases
                .get(index)
                .and_then(|word| word.text.as_deref());
            let message = format!(
                "the base image `{}` is for `{}/{}`, and `{}/{}` was asked for",
                name.unwrap_or_default(),
                found.0,
                found.1,
                wanted.0,
                wanted.1
            );
            out.report(Place::of_from(&stage.from), message);
        }
    }
}
