//! SARIF 2.1.0.

use std::collections::BTreeMap;

use kigumi_dockerfile::lint::{Finding, Level, Rule};
use kigumi_dockerfile::{Diagnostic, Source, Span};
use kigumi_oci::Digest;
use serde_json::{Value, json};

use super::{Linted, id_of};

pub(super) fn render(linted: &[Linted]) -> String {
    let mut rules: Vec<&'static Rule> = Vec::new();
    let findings = linted.iter().flat_map(|file| &file.findings);
    for finding in findings {
        if !rules.iter().any(|known| known.id == finding.rule.id) {
            rules.push(finding.rule);
        }
    }
    let mut results = Vec::new();
    for file in linted {
        let mut seen = BTreeMap::new();
        let findings = file.findings.iter();
        results.extend(findings.map(|finding| result(file, finding, &rules, &mut seen)));
        let errors = file.mistakes();
        results.extend(errors.map(|error| mistake(file, error)));
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "kigumi",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.iter().map(|rule| describe(rule)).collect::<Vec<_>>(),
            }},
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn describe(rule: &Rule) -> Value {
    let mut value = json!({
        "id": rule.id,
        "shortDescription": { "text": rule.summary },
        "fullDescription": { "text": rule.why },
        "defaultConfiguration": { "level": level(rule.level) },
        "properties": { "tags": ["dockerfile"] },
    });
    if let (Some(url), Some(object)) = (rule.url(), value.as_object_mut()) {
        object.insert("helpUri".to_owned(), url.into());
    }
    value
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
    }
}

fn result(
    file: &Linted,
    finding: &Finding,
    rules: &[&'static Rule],
    seen: &mut BTreeMap<String, usize>,
) -> Value {
    let index = rules.iter().position(|rule| rule.id == finding.rule.id);
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "level": level(finding.level()),
        "message": { "text": message(finding) },
        "locations": [location(file, finding.span)],
        "partialFingerprints": { "kigumi/v1": fingerprint(file, finding, seen) },
    })
}

fn mistake(file: &Linted, error: &Diagnostic) -> Value {
    json!({
        "ruleId": id_of(error),
        "level": "error",
        "message": { "text": error.message },
        "locations": [location(file, error.span)],
    })
}

/// The message with its advice.
pub(super) fn message(finding: &Finding) -> String {
    match &finding.help {
        Some(help) => format!("{}: {help}", finding.message),
        None => finding.message.clone(),
    }
}

fn location(file: &Linted, span: Span) -> Value {
    let position = |offset| Source::position(&file.source, offset);
    let (start, end) = (position(span.start), position(span.end));
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": file.name },
        "region": {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line.max(span.end_line),
            "endColumn": end.column,
        },
    }})
}

/// What stays the same when lines move: the rule, the text of the instruction, and which of several equal ones it is.
pub(super) fn fingerprint(
    file: &Linted,
    finding: &Finding,
    seen: &mut BTreeMap<String, usize>,
) -> String {
    let text = file.source.slice(finding.span);
    let key = format!(
        "{}\0{}\0{text}\0{}",
        file.name, finding.rule.id, finding.message
    );
    let count = seen.entry(key.clone()).or_default();
    *count += 1;
    Digest::of(format!("{key}\0{count}").as_bytes()).hex()
}
