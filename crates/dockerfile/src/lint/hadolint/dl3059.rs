//! `DL3059`: consecutive RUNs are one.

use crate::instruction::Run;
use crate::lint::report::Place;
use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::shell::Script;
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "DL3059",
    level: Level::Info,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "Consecutive RUNs are one",
    why: "Each makes a layer. RUNs with different flags, and RUNs with several commands, are left alone.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN make\nRUN make install\n",
        good: "FROM alpine:3.20\nRUN make && make install\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for stage in &subject.file.stages {
        let pairs = stage
            .instructions
            .iter()
            .zip(stage.instructions.iter().skip(1));
        for (first, second) in pairs {
            if let (Some(one), Some(other)) = (first.run(), second.run())
                && has_same_flags(one, other)
                && is_simple(one)
                && is_simple(other)
            {
                let message = "two RUNs in a row could be one";
                out.report(Place::of(second), message);
            }
        }
    }
}

/// Commands whose name is a variable do not count, and `[` is a condition.
fn is_simple(run: &Run) -> bool {
    let is_command = |name: &str| !name.is_empty() && !name.starts_with(['$', '[']);
    let commands = Script::of(run).commands;
    let commands = commands.iter().filter(|command| is_command(&command.name));
    commands.count() < 2
}

fn has_same_flags(one: &Run, other: &Run) -> bool {
    let mounts = |run: &Run| {
        let mounts = run.mounts.iter().map(|mount| mount.options.iter());
        let written = mounts.map(|options| {
            let pairs = options.map(|option| {
                (
                    option.key,
                    option.value.as_ref().map(|word| word.raw.clone()),
                )
            });
            pairs.collect::<Vec<_>>()
        });
        written.collect::<Vec<_>>()
    };
    let network = |run: &Run| run.network.map(|network| network.value);
    let security = |run: &Run| run.security.map(|security| security.value);
    mounts(one) == mounts(other)
        && network(one) == network(other)
        && security(one) == security(other)
}
