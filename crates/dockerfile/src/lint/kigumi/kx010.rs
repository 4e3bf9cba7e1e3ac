//! `KX010`: on scratch and distroless USER is a number.

use crate::lint::report::Reporter;
use crate::lint::rule::{Example, Given, Level, Mode, Phase, Rule};
use crate::lint::subject::Subject;

pub(super) static RULE: Rule = Rule {
    id: "KX010",
    level: Level::Warning,
    mode: Mode::Always,
    phase: Phase::Building,
    summary: "On scratch and distroless USER is a number",
    why: "There is no passwd file that knows names.",
    example: Example {
        given: Given::Nothing,
        bad: "FROM scratch\nUSER app\n",
        good: "FROM scratch\nUSER 1000\n",
    },
    check,
};

fn check(subject: &Subject<'_>, out: &mut Reporter<'_>) {
    subject.visit(|visit| {
        let Some(user) = visit.instruction.user() else {
            return;
        };
        let base = subject.root_of(visit.stage);
        let is_bare = base.is_none_or(|image| image.contains("distroless"));
        let name = visit.scope.expand(user, subject.file.escape).text;
        let name = name.split(':').next().unwrap_or_default().to_owned();
        let is_number = name.bytes().all(|b| b.is_ascii_digit());
        // The names that distroless images have.
        if is_bare
            && !is_number
            && !(base.is_some() && matches!(name.as_str(), "nonroot" | "root" | "nobody"))
        {
            out.report(
                visit.place,
                format!("the user `{name}` cannot be looked up in this image"),
            );
        }
    });
}
