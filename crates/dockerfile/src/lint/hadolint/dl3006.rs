//! `DL3006`: base images have a tag.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::Image;

pub(super) static RULE: Rule = Rule {
    id: "DL3006",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "Base images have a tag",
    why: "Without one the image is whatever `latest` is on the day of the build.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine\n",
        good: "FROM alpine:3.20\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (index, stage) in subject.file.stages.iter().enumerate() {
        let earlier = subject.file.stages.get(..index).unwrap_or_default();
        let image = Image::parse(&stage.from.base.raw);
        let is_stage = earlier
            .iter()
            .any(|one| subject.file.source.slice(one.written_name()) == image.name);
        let is_pinned = image.tag.is_some() || image.digest.is_some();
        let is_variable = image.name.starts_with('$');
        if is_pinned || is_stage || is_variable || image.is_scratch() {
            continue;
        }
        let message = format!("the base image `{}` has no tag", image.name);
        out.report(Place::of_from(&stage.from), message);
    }
}
