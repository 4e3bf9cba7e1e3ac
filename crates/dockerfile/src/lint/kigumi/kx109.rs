//! `KX109`: an octal `--chmod` leaves directories usable.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX109",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "An octal `--chmod` leaves directories usable",
    why: "The mode is also that of the directories which the instruction makes; without `x` nobody but root can enter them.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nCOPY --chmod=0644 a /new/dir/\n",
        good: "FROM alpine:3.20\nCOPY --chmod=u=rwX,go=rX a /new/dir/\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let Some(paths) = visit.instruction.paths() else {
            return;
        };
        let destination = visit
            .scope
            .expand(&paths.destination, subject.file.escape)
            .text;
        let copied = visit
            .instruction
            .copy()
            .and_then(|copy| copy.chmod.as_ref());
        let chmod = copied.or_else(|| visit.instruction.add().and_then(|add| add.chmod.as_ref()));
        let mode = chmod.map(|word| visit.scope.expand(word, subject.file.escape).text);
        let Some(bits) = mode
            .as_deref()
            .and_then(|mode| u32::from_str_radix(mode, 8).ok())
        else {
            return;
        };
        let is_in_root = destination.trim_matches('/').is_empty()
            || !destination.trim_start_matches('/').contains('/');
        if bits & 0o111 == 0 && !is_in_root {
            let message = format!(
                "`--chmod={bits:04o}` also goes to new directories on the way to `{destination}`"
            );
            out.report_with(
                visit.place,
                message,
                Some("use a symbolic mode such as `u=rwX,go=rX`".to_owned()),
            );
        }
    });
}
