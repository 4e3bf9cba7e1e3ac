//! The rules of hadolint that exist here, against what hadolint itself says.

use super::{Inputs, inputs};
use crate::lint::{Family, lint};
use crate::parse;

/// `Dockerfile => Id:line …`, `⏎` for a new line. The right side was recorded from hadolint 2.15.1, reduced to the
/// ids that exist here; DL3057, which it has switched off, is left out. Behind `!>` stands what we say instead:
/// `tests/lint/disagreements.txt` has the reasons.
const RECORDED: &str = include_str!("hadolint.txt");

#[test]
fn what_hadolint_finds_is_found_on_the_same_lines() {
    let all = Inputs {
        requested: vec!["all".to_owned()],
        ..inputs()
    };
    let mut count = 0;
    for line in RECORDED.lines() {
        let recorded = line.split_once(" =>");
        let (text, wanted) = recorded.or_else(|| line.split_once(" !>")).unwrap();
        let text = text.replace('⏎', "\n") + "\n";
        let file = parse(&text, "Dockerfile").unwrap();
        let findings = lint(&file, &all).unwrap().findings.into_iter();
        let ours =
            findings.filter(|one| one.rule.family() == Family::Hadolint && one.rule.id != "DL3057");
        let mut found: Vec<(usize, &str)> = ours.map(|one| (one.span.line, one.rule.id)).collect();
        found.sort_unstable();
        found.dedup();
        let found: Vec<String> = found
            .iter()
            .map(|(line, id)| format!("{id}:{line}"))
            .collect();
        assert_eq!(found.join(" "), wanted.trim(), "{text}");
        count += 1;
    }
    assert!(count > 300, "{count}");
}
