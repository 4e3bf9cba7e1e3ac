//! `KX101`: the pod has what the file needs.

use crate::instruction::{Network, Security};
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX101",
    level: Level::Error,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "The pod has what the file needs",
    why: "Told with `--tier=restricted`: a pod of the restricted Pod Security Standard has no root filesystem to run in, no privilege and no devices.",
    example: Example {
        given: Given::Restricted,
        bad: "FROM alpine:3.20\nRUN --security=insecure true\n",
        good: "FROM alpine:3.20\nCOPY app /app\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let Some(run) = visit
            .instruction
            .run()
            .filter(|_| subject.inputs.restricted)
        else {
            return;
        };
        let is_insecure = run
            .security
            .is_some_and(|security| security.value == Security::Insecure);
        let what = if is_insecure {
            "RUN --security=insecure"
        } else if !run.devices.is_empty() {
            "RUN --device"
        } else if run
            .network
            .is_some_and(|network| network.value == Network::Host)
        {
            "RUN --network=host"
        } else {
            return;
        };
        out.report(visit.place, format!("a restricted pod cannot do {what}"));
    });
}
