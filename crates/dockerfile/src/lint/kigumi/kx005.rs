//! `KX005`: no script from the network into a shell.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::shell::Command;
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX005",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Parsing,
    summary: "No script from the network into a shell",
    why: "What runs is whatever the server sends, unread and unchecked.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM alpine:3.20\nRUN curl -s https://example.com/install | sh\n",
        good: "FROM alpine:3.20\nADD --checksum=sha256:0123456789012345678901234567890123456789012345678901234567890123 https://example.com/install /tmp/install\nRUN sh /tmp/install\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    for run in subject.runs.iter().filter(|run| run.script.has_pipe) {
        let commands = &run.script.commands;
        let pairs = commands.iter().zip(commands.iter().skip(1));
        let is_shell = |one: &Command| {
            matches!(one.name.as_str(), "sh" | "bash" | "ash" | "dash" | "zsh")
                && one.arguments.iter().all(|word| word.starts_with('-'))
        };
        let is_download = |one: &Command| matches!(one.name.as_str(), "curl" | "wget");
        if pairs
            .into_iter()
            .any(|(one, other)| is_download(one) && is_shell(other))
        {
            out.report(run.place(), "a download goes straight into a shell");
        }
    }
}
