//! `KX002`: what ADD downloads is checked.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX002",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "What ADD downloads is checked",
    why: "A server can answer with other bytes tomorrow. `--checksum` pins a file, a commit pins a repository.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nADD https://example.com/a.tar.gz /\n",
        good: "FROM scratch\nADD --checksum=sha256:0123456789012345678901234567890123456789012345678901234567890123 https://example.com/a.tar.gz /\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let Some(add) = visit.instruction.add().filter(|add| add.checksum.is_none()) else {
            return;
        };
        for source in &add.paths.sources {
            let text = visit.scope.expand(source, subject.file.escape).text;
            let is_remote = ["http://", "https://", "git@", "git://", "ssh://"]
                .iter()
                .any(|start| text.starts_with(start));
            if is_remote && !names_commit(&text) {
                let message = format!("`{text}` is downloaded and not checked");
                out.report_with(
                    visit.place,
                    message,
                    Some("add `--checksum=sha256:…`, or `#COMMIT` to a repository".to_owned()),
                );
            }
        }
    });
}

/// `….git#COMMIT[:directory]`
fn names_commit(url: &str) -> bool {
    let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
    let reference = fragment.split(':').next().unwrap_or_default();
    reference.len() >= 40 && reference.bytes().all(|b| b.is_ascii_hexdigit())
}
