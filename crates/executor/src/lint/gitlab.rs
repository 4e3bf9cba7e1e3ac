//! GitLab code quality: a list of issues in the form of Code Climate.

use std::collections::BTreeMap;

use kigumi_dockerfile::lint::Level;
use serde_json::{Value, json};

use super::sarif::{fingerprint, message};
use super::{Linted, id_of};

pub(super) fn render(linted: &[Linted]) -> String {
    let mut issues = Vec::new();
    for file in linted {
        let mut seen = BTreeMap::new();
        for finding in &file.findings {
            issues.push(json!({
                "type": "issue",
                "check_name": finding.rule.id,
                "description": message(finding),
                "categories": ["Bug Risk"],
                "severity": severity(finding.level()),
                "fingerprint": fingerprint(file, finding, &mut seen),
                "location": {
                    "path": file.name,
                    "lines": { "begin": finding.span.line, "end": finding.span.end_line },
                },
            }));
        }
        for error in file.mistakes() {
            issues.push(json!({
                "type": "issue",
                "check_name": id_of(error),
                "description": error.message,
                "categories": ["Bug Risk"],
                "severity": "blocker",
                "fingerprint": kigumi_oci::Digest::of(format!("{}\0{}\0{}", file.name, error.name, error.message).as_bytes()).hex(),
                "location": {
                    "path": file.name,
                    "lines": { "begin": error.span.line, "end": error.span.end_line },
                },
            }));
        }
    }
    format!("{:#}\n", Value::Array(issues))
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::Error => "critical",
        Level::Warning => "minor",
        Level::Info => "info",
    }
}
