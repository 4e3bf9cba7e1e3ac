//! `KX001`: base images are pinned by digest.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Ground;
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX001",
    level: Level::Info,
    mode: Mode::OnRequest("digests need somebody who updates them"),
    phase: Phase::Building,
    summary: "Base images are pinned by digest",
    why: "A tag can be moved to another image; a digest cannot.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\n",
        good: "FROM alpine:3.20@sha256:0123456789012345678901234567890123456789012345678901234567890123\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for (index, stage) in subject.file.stages.iter().enumerate() {
        let is_image = subject.grounds.get(index) == Some(&Ground::Image);
        let name = subject
            .bases
            .get(index)
            .and_then(|base| base.text.as_deref());
        if let Some(name) = name.filter(|name| is_image && !name.contains("@sha")) {
            out.report(
                Place::of_from(&stage.from),
                format!("the base image `{name}` has no digest"),
            );
        }
    }
}
