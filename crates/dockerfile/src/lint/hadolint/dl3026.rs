//! `DL3026`: base images come from allowed registries.

use crate::lint::reference::host_of;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::{Ground, Subject};
use crate::lint::text::Image;

pub(super) static RULE: Rule = Rule {
    id: "DL3026",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "Base images come from allowed registries",
    why: "The list is that of `--lint-trusted-registry`; without it the rule is silent.",
    example: Example {
        given: Given::TrustedRegistry("docker.io"),
        bad: "FROM example.com/base:1\n",
        good: "FROM docker.io/library/alpine:3.20\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    let trusted = &subject.inputs.trusted_registries;
    if trusted.is_empty() {
        return;
    }
    for (stage, ground) in subject.file.stages.iter().zip(&subject.grounds) {
        let raw = &stage.from.base.raw;
        if *ground != Ground::Image || raw.starts_with('$') {
            continue;
        }
        let host = host_of(Image::parse(raw).name);
        if !trusted.iter().any(|pattern| allows(pattern, host)) {
            let message = format!("the registry `{host}` is not on the list of allowed ones");
            out.report(Place::of_from(&stage.from), message);
        }
    }
}

/// `*`, `*.example.com`, or a name; Docker Hub has two.
fn allows(pattern: &str, host: &str) -> bool {
    let is_hub = |name: &str| matches!(name, "docker.io" | "hub.docker.com" | "index.docker.io");
    match pattern.strip_prefix('*') {
        Some(end) => host.ends_with(end),
        None => pattern == host || is_hub(pattern) && is_hub(host),
    }
}
