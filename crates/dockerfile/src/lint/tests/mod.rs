//! Rules on small files. Ids with their lines, in the order of the text.

mod buildkit;
mod hadolint;
mod kigumi;
mod laws;

use super::{Base, Given, Inputs, Mode, Target, lint, rules};
use crate::ignore::Patterns;
use crate::parse;

/// What everything is linted with unless a test says otherwise.
fn inputs() -> Inputs {
    let predefined = [
        ("BUILDPLATFORM", "linux/amd64"),
        ("TARGETPLATFORM", "linux/amd64"),
        ("TARGETARCH", "amd64"),
    ];
    Inputs {
        predefined: predefined
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        host: ("linux".to_owned(), "amd64".to_owned()),
        ..Inputs::default()
    }
}

fn with(given: Given) -> Inputs {
    let mut inputs = inputs();
    match given {
        Given::Nothing => {}
        Given::Ignore(text) => {
            inputs.ignore = Some(Patterns::parse_file(text.as_bytes()).unwrap());
        }
        Given::BasePlatform(platform) => {
            let (system, architecture) = platform.split_once('/').unwrap();
            inputs.bases = vec![Some(Base {
                platform: Some((system.to_owned(), architecture.to_owned())),
                wanted: Some(("linux".to_owned(), "amd64".to_owned())),
                ..Base::default()
            })];
        }
        Given::BuildArgument(name, value) => {
            inputs.build_args = vec![(name.to_owned(), value.to_owned())];
        }
        Given::TrustedRegistry(name) => inputs.trusted_registries = vec![name.to_owned()],
        Given::Restricted => inputs.restricted = true,
    }
    inputs
}

/// The findings as `Id:line` or `Id:first-last`, each once.
fn found(text: &str, inputs: &Inputs) -> Vec<String> {
    let file = parse(text, "Dockerfile").unwrap();
    let report = lint(&file, inputs).unwrap();
    let mut found: Vec<String> = Vec::new();
    for finding in report.findings {
        let span = finding.span;
        let lines = if span.line == span.end_line {
            span.line.to_string()
        } else {
            format!("{}-{}", span.line, span.end_line)
        };
        let text = format!("{}:{lines}", finding.rule.id);
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// The findings of one family of rules, or of one rule, as `line` or `first-last`.
fn lines_of(id: &str, text: &str, inputs: &Inputs) -> String {
    let prefix = format!("{id}:");
    let found = found(text, inputs);
    let lines: Vec<&str> = found
        .iter()
        .filter_map(|text| text.strip_prefix(&prefix))
        .collect();
    lines.join(" ")
}

/// Checks a table of `id | text | lines`; in the text `⏎` stands for a new line.
fn check(table: &[(&str, &str, &str)], inputs: &Inputs) {
    for (id, text, wanted) in table {
        let text = text.replace('⏎', "\n") + "\n";
        assert_eq!(lines_of(id, &text, inputs), *wanted, "{id} on\n{text}");
    }
}

/// T-LINT-07, and the same for all others.
#[test]
fn every_rule_fires_on_its_bad_example_and_is_silent_on_the_good_one() {
    for rule in rules() {
        let mut inputs = with(rule.example.given);
        inputs.requested = vec![rule.id.to_owned()];
        let bad = lines_of(rule.id, rule.example.bad, &inputs);
        assert!(
            !bad.is_empty(),
            "{} is silent on\n{}",
            rule.id,
            rule.example.bad
        );
        let good = lines_of(rule.id, rule.example.good, &inputs);
        assert_eq!(good, "", "{} fires on\n{}", rule.id, rule.example.good);
    }
}

#[test]
fn ids_are_unique_and_the_twenty_two_rules_of_buildkit_are_there() {
    let mut ids: Vec<&str> = rules().map(|rule| rule.id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    let families = rules().filter(|rule| rule.family() == super::Family::BuildKit);
    assert_eq!(families.count(), 22);
}

#[test]
fn pages_are_one_line_each_without_a_full_stop() {
    for rule in rules() {
        assert!(!rule.summary.ends_with('.'), "{}", rule.id);
        assert!(rule.why.ends_with('.'), "{}", rule.id);
        if let Mode::OnRequest(why) = rule.mode {
            assert!(!why.is_empty() && !why.ends_with('.'), "{}", rule.id);
        }
    }
}

/// T-LINT-02, T-LINT-05.
#[test]
fn rules_are_switched_by_directive_argument_and_comment() {
    let casing = "FROM scratch AS X\nCMD a\n";
    let argument = |value: &str| Inputs {
        build_args: vec![(super::CHECK_ARGUMENT.to_owned(), value.to_owned())],
        ..inputs()
    };
    for (text, inputs, wanted) in [
        (casing.to_owned(), inputs(), vec!["StageNameCasing:1", "JSONArgsRecommended:2"]),
        (format!("# check=skip=StageNameCasing\n{casing}"), inputs(), vec!["JSONArgsRecommended:3"]),
        (format!("# check=skip=all\n{casing}"), inputs(), vec![]),
        (format!("# check=skip=all\n{casing}"), argument("skip=StageNameCasing"), vec!["JSONArgsRecommended:3"]),
        (casing.to_owned(), argument("skip=JSONArgsRecommended , Other"), vec!["StageNameCasing:1"]),
        ("FROM scratch AS X\n# check=skip=JSONArgsRecommended\nCMD a\n".to_owned(), inputs(), vec!["StageNameCasing:1"]),
        ("FROM scratch AS X\n# check=skip=all\nCMD a\n".to_owned(), inputs(), vec!["StageNameCasing:1"]),
        // Only the comments directly above count, and an empty one separates.
        ("FROM scratch\n# check=skip=all\n\nCMD a\n".to_owned(), inputs(), vec!["JSONArgsRecommended:4"]),
        ("FROM scratch\n# check=skip=all\n#\nCMD a\n".to_owned(), inputs(), vec!["JSONArgsRecommended:4"]),
        ("FROM scratch\n# check=nonsense\nCMD a\n".to_owned(), inputs(), vec!["JSONArgsRecommended:3"]),
        ("# hadolint ignore=DL3006\nFROM a\n".to_owned(), inputs(), vec![]),
        ("# hadolint ignore=DL3007\nFROM a\n".to_owned(), inputs(), vec!["DL3006:2"]),
        ("FROM a\n# hadolint global ignore=DL3006\n".to_owned(), inputs(), vec![]),
        ("FROM a:1\nRUN <<E\n# hadolint global ignore=DL3003\ncd /x\nE\n".to_owned(), inputs(), vec!["DL3003:2-5"]),
        ("# check=skip=DL3006\nFROM a\n".to_owned(), inputs(), vec![]),
        ("FROM a:1\n# check=experimental=DL3008\nRUN apt-get install -y --no-install-recommends b\n".to_owned(), inputs(), vec!["DL3008:3"]),
    ] {
        assert_eq!(found(&text, &inputs), wanted, "{text}");
    }
}

#[test]
fn a_configuration_that_makes_no_sense_is_an_error() {
    for text in [
        "# check=skip\nFROM scratch\n",
        "# check=skp=A\nFROM scratch\n",
    ] {
        let file = parse(text, "Dockerfile").unwrap();
        lint(&file, &inputs()).unwrap_err();
    }
}

/// T-LINT-03.
#[test]
fn error_true_is_handed_on() {
    for (text, wanted) in [
        ("# check=error=true\nFROM scratch AS X\n", true),
        ("FROM scratch AS X\n", false),
    ] {
        let file = parse(text, "Dockerfile").unwrap();
        assert_eq!(lint(&file, &inputs()).unwrap().fails, wanted);
    }
}

/// T-LINT-04.
#[test]
fn without_a_target_all_stages_are_checked_and_with_one_those_it_needs() {
    let text = "FROM scratch AS a\nENV x 1\nFROM scratch AS b\nENV x 2\nFROM b\nCOPY --from=a / /x\nENV x 3\nFROM scratch AS c\nENV x 4\n";
    let id = "LegacyKeyValueFormat";
    for (target, wanted) in [
        (Target::All, "2 4 7 9"),
        (Target::Last, "9"),
        (Target::Named("b".to_owned()), "4"),
        (Target::Named("C".to_owned()), "9"),
    ] {
        let inputs = Inputs {
            target: target.clone(),
            ..inputs()
        };
        assert_eq!(lines_of(id, text, &inputs), wanted, "{target:?}");
    }
}
