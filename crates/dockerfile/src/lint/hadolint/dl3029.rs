//! `DL3029`: `FROM --platform` only with the platforms of the build.

use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3029",
    level: Level::Warning,
    mode: Mode::OnRequest("FromPlatformFlagConstDisallowed says the same"),
    phase: Phase::Parsing,
    summary: "`FROM --platform` only with the platforms of the build",
    why: "Anything else builds for one platform, whatever is asked for.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM --platform=linux/amd64 alpine:3.20\n",
        good: "FROM --platform=$BUILDPLATFORM alpine:3.20\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let Some(platform) = &stage.from.platform else {
            continue;
        };
        let uses = |name: &str| platform.raw.contains(name);
        if !uses("BUILDPLATFORM") && !uses("TARGETPLATFORM") {
            let message = format!("FROM with `--platform={}`", platform.raw);
            out.report(Place::of_from(&stage.from), message);
        }
    }
}
