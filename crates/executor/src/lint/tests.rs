use std::sync::{Arc, Mutex};

use kigumi_dockerfile::lint::Inputs;
use kigumi_dockerfile::{Dockerfile, parse};
use serde_json::Value;

use super::{Linted, before_build, checkstyle, gitlab, json, sarif, tells, text};
use crate::cli::{Config, Environment, LintMode, parse as parse_flags};
use crate::error::BuildError;
use crate::report::{BuildEvent, Events};

const TEXT: &str = "FROM scratch AS X\nENV a b\nCMD a\n";

fn file(text: &str) -> Dockerfile {
    parse(text, "Dockerfile").unwrap()
}

fn linted(text: &str) -> Vec<Linted> {
    let file = file(text);
    let report = kigumi_dockerfile::lint::lint(&file, &Inputs::default()).unwrap();
    vec![Linted {
        name: "a&b/Dockerfile".to_owned(),
        source: file.source.clone(),
        findings: report.findings,
        fails: report.fails,
        errors: None,
    }]
}

fn broken(text: &str) -> Vec<Linted> {
    let errors = parse(text, "Dockerfile").unwrap_err();
    vec![Linted {
        name: "Dockerfile".to_owned(),
        source: errors.file.clone(),
        findings: Vec::new(),
        fails: false,
        errors: Some(errors),
    }]
}

fn config(flags: &[&str]) -> Config {
    let words = ["executor", "--no-push", "--context=/"];
    let args = parse_flags(words.iter().chain(flags)).unwrap();
    Config::new(&args.build, &Environment::default()).unwrap()
}

/// What a build tells, and whether it goes on.
fn build(text: &str, flags: &[&str]) -> (Vec<String>, Result<(), BuildError>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let events = Events::new(move |event| {
        if let BuildEvent::Warning { message } = event {
            teller.lock().unwrap().push(message);
        }
    });
    let file = file(text);
    let inputs = Inputs::default();
    // For two platforms: a finding is told once.
    let files = [(&file, &inputs), (&file, &inputs)];
    let config = config(flags);
    let result = before_build(files.into_iter(), None, &config, &events);
    let told = told.lock().unwrap().clone();
    (told, result)
}

#[test]
fn a_build_tells_each_finding_on_one_line_rules_about_the_text_first() {
    let (told, result) = build(TEXT, &[]);
    result.unwrap();
    let ids = [
        "(StageNameCasing",
        "(LegacyKeyValueFormat",
        "(JSONArgsRecommended",
    ];
    assert_eq!(told.len(), ids.len(), "{told:?}");
    for ((line, id), number) in told.iter().zip(ids).zip(1..) {
        assert!(
            line.starts_with(&format!("Dockerfile:{number}: ")),
            "{line}"
        );
        assert!(line.contains(id) && !line.contains('\n'), "{line}");
    }
}

/// T-LINT-06.
#[test]
fn rules_can_be_switched_off() {
    let (told, result) = build("# check=error=true\nFROM scratch AS X\n", &["--lint=off"]);
    result.unwrap();
    assert!(told.is_empty(), "{told:?}");
}

/// T-LINT-03.
#[test]
fn the_build_fails_when_the_file_or_the_command_line_says_so() {
    let (_, error) = build("# check=error=true\nFROM scratch AS X\nCMD a\n", &[]);
    let error = error.unwrap_err();
    let text = "lint violation found for rules: JSONArgsRecommended, StageNameCasing";
    assert_eq!(error.to_string(), text);
    assert_eq!(error.exit_code(), 42);
    for (flags, fails) in [
        (&["--lint=error"][..], false),
        (&["--lint=error", "--lint-threshold=warning"], true),
        (&["--lint-threshold=info"], false),
    ] {
        assert_eq!(build(TEXT, flags).1.is_err(), fails, "{flags:?}");
    }
}

#[test]
fn many_findings_do_not_drown_the_log() {
    let text = format!("FROM scratch\n{}", "ENV a b\n".repeat(500));
    let (told, _) = build(&text, &[]);
    assert_eq!(told.len(), 51);
    assert!(told.last().unwrap().contains("450 more"), "{told:?}");
}

#[test]
fn what_a_rule_tells_nobody_else_tells() {
    for (name, mode, hidden) in [
        ("UnusedBuildArg", LintMode::Warn, true),
        ("UnusedBuildArg", LintMode::Off, false),
        ("NoEmptyContinuation", LintMode::Warn, true),
        ("NoEmptyContinuation", LintMode::Off, true),
        ("InvalidTrigger", LintMode::Warn, false),
    ] {
        assert_eq!(tells(name, mode), hidden, "{name} {mode:?}");
    }
}

#[test]
fn text_has_excerpts_and_ends_with_a_sum() {
    let shown = text::render(&linted(TEXT));
    assert!(shown.contains("warning[LegacyKeyValueFormat]"), "{shown}");
    assert!(shown.contains("2 | ENV a b"), "{shown}");
    assert!(shown.ends_with("3 findings in 1 file\n"), "{shown}");
    assert_eq!(text::render(&linted("FROM scratch\n")), "");
}

#[test]
fn json_has_the_schema_of_docker() {
    let shown: Value = serde_json::from_str(&json::render(&linted(TEXT))).unwrap();
    let first = &shown["warnings"][1];
    assert_eq!(first["ruleName"], "LegacyKeyValueFormat");
    assert_eq!(first["location"]["ranges"][0]["start"]["line"], 2);
    assert_eq!(first["location"]["sourceIndex"], 0);
    assert_eq!(shown["sources"][0]["filename"], "a&b/Dockerfile");
    assert!(shown.get("buildError").is_none());
    let clean: Value = serde_json::from_str(&json::render(&linted("FROM scratch\n"))).unwrap();
    assert_eq!(clean["warnings"], Value::Array(Vec::new()));
    let broken: Value =
        serde_json::from_str(&json::render(&broken("FROM scratch\nCOPPY\n"))).unwrap();
    assert_eq!(
        broken["buildError"]["location"]["ranges"][0]["start"]["line"],
        2
    );
}

#[test]
fn sarif_names_rules_once_and_results_by_index() {
    let shown: Value = serde_json::from_str(&sarif::render(&linted(TEXT))).unwrap();
    assert_eq!(shown["version"], "2.1.0");
    let run = &shown["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!((rules.len(), results.len()), (3, 3));
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let region = &result["locations"][0]["physicalLocation"]["region"];
        assert!(region["startLine"].as_u64() <= region["endLine"].as_u64());
    }
    let levels: Vec<_> = results
        .iter()
        .map(|result| result["level"].as_str())
        .collect();
    assert_eq!(levels, [Some("note"), Some("warning"), Some("warning")]);
    // The id that hadolint has for it.
    let broken: Value =
        serde_json::from_str(&sarif::render(&broken("COPY a /\nFROM scratch\n"))).unwrap();
    assert_eq!(broken["runs"][0]["results"][0]["ruleId"], "DL3061");
}

#[test]
fn fingerprints_are_unique_and_survive_lines_above() {
    let fingerprints = |text: &str| -> Vec<String> {
        let shown: Value = serde_json::from_str(&gitlab::render(&linted(text))).unwrap();
        let issues = shown.as_array().unwrap();
        issues
            .iter()
            .map(|issue| issue["fingerprint"].as_str().unwrap().to_owned())
            .collect()
    };
    let one = fingerprints("FROM scratch\nENV a b\nENV a b\n");
    assert_eq!(one.len(), 2);
    assert_ne!(one[0], one[1]);
    assert_eq!(
        one,
        fingerprints("FROM scratch\n\n# more\nENV a b\nENV a b\n")
    );
}

#[test]
fn checkstyle_escapes_what_xml_reserves() {
    let shown = checkstyle::render(&linted("FROM scratch\nCOPY a b <&>\n"));
    assert!(
        shown.contains("<file name=\"a&amp;b/Dockerfile\">"),
        "{shown}"
    );
    assert!(shown.contains("&lt;&amp;&gt;"), "{shown}");
}
