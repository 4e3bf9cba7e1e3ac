//! The schema of `docker build --check --format=json`: frontend/subrequests/lint of BuildKit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kigumi_dockerfile::{Diagnostic, Span};
use serde_json::{Map, Value, json};

use super::Linted;

pub(super) fn render(linted: &[Linted]) -> String {
    let mut warnings = Vec::new();
    let mut sources = Vec::new();
    let mut error = None;
    for (index, file) in linted.iter().enumerate() {
        for finding in &file.findings {
            warnings.push(json!({
                "ruleName": finding.rule.id,
                "description": finding.rule.summary,
                "url": finding.rule.url().unwrap_or_default(),
                "detail": finding.message,
                "location": location(index, finding.span),
            }));
        }
        sources.push(json!({
            "filename": file.name,
            "language": "Dockerfile",
            "data": STANDARD.encode(file.source.text()),
        }));
        let first = file
            .errors
            .as_ref()
            .and_then(|errors| errors.errors().next());
        error = error.or_else(|| first.map(|first| build_error(index, first)));
    }
    let mut report = Map::new();
    report.insert("warnings".to_owned(), warnings.into());
    report.insert("sources".to_owned(), sources.into());
    if let Some(error) = error {
        report.insert("buildError".to_owned(), error);
    }
    format!("{:#}\n", Value::Object(report))
}

fn build_error(index: usize, error: &Diagnostic) -> Value {
    json!({ "message": error.message, "location": location(index, error.span) })
}

fn location(index: usize, span: Span) -> Value {
    let position = |line: usize| json!({ "line": line, "character": 0 });
    json!({
        "sourceIndex": index,
        "ranges": [{ "start": position(span.line), "end": position(span.end_line) }],
    })
}
