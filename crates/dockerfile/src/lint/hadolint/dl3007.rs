//! `DL3007`: no base image `latest`.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;
use crate::lint::text::Image;

pub(super) static RULE: Rule = Rule {
    id: "DL3007",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "No base image `latest`",
    why: "The tag moves: the next build may be made of something else.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:latest\n",
        good: "FROM alpine:3.20\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let image = Image::parse(&stage.from.base.raw);
        if image.tag == Some("latest") && image.digest.is_none() {
            let message = format!(
                "the base image `{}` has the moving tag `latest`",
                image.name
            );
            out.report(Place::of_from(&stage.from), message);
        }
    }
}
