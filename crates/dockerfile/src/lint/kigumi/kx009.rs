//! `KX009`: secrets are required.

use crate::instruction::MountKey;
use crate::lint::kigumi::is_of;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX009",
    level: Level::Info,
    mode: Mode::OnRequest("an optional secret is often meant"),
    phase: Phase::Parsing,
    summary: "Secrets are required",
    why: "A secret that is missing is an empty place otherwise, and the RUN fails later or builds something else.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN --mount=type=secret,id=token true\n",
        good: "FROM alpine:3.20\nRUN --mount=type=secret,id=token,required=true true\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in &subject.runs {
        for mount in run.run.mounts.iter().filter(|mount| is_of(mount, "secret")) {
            if !mount
                .options
                .iter()
                .any(|option| option.key == MountKey::Required)
            {
                out.report_with(
                    run.place(),
                    "a secret may be missing",
                    Some("add `required=true`".to_owned()),
                );
            }
        }
    }
}
