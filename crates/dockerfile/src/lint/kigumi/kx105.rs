//! `KX105`: nothing is copied over what the kubelet mounts.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX105",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "Nothing is copied over what the kubelet mounts",
    why: "The layer gets the file; while the image is built RUN keeps seeing the mount.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nCOPY hosts /etc/hosts\n",
        good: "FROM alpine:3.20\nCOPY hosts /etc/hosts.app\n",
    },
    check,
};

const MOUNTED: [&str; 9] = [
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/dev",
    "/proc",
    "/sys",
    "/dev/termination-log",
    "/run/secrets/kubernetes.io",
    "/var/run/secrets/kubernetes.io",
];

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let Some(paths) = visit.instruction.paths() else {
            return;
        };
        let destination = visit
            .scope
            .expand(&paths.destination, subject.file.escape)
            .text;
        let path = destination.trim_end_matches('/');
        let is_below = |mount: &&&str| {
            path == **mount
                || path
                    .strip_prefix(*mount)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(mount) = MOUNTED.iter().find(is_below) {
            out.report(
                visit.place,
                format!("`{destination}` is below `{mount}`, where the kubelet mounts something"),
            );
        }
    });
}
