//! Excerpts for people, by file and line.

use std::fmt::Write as _;

use super::Linted;
use crate::report;

pub(super) fn render(linted: &[Linted]) -> String {
    let mut shown = String::new();
    for file in linted {
        for finding in &file.findings {
            shown.push_str(&report::render_finding(&file.source, finding));
            shown.push('\n');
        }
        if let Some(errors) = &file.errors {
            shown.push_str(&report::render(errors));
            shown.push('\n');
        }
    }
    let findings: usize = linted.iter().map(|file| file.findings.len()).sum();
    if findings > 0 {
        let noun = if findings == 1 { "finding" } else { "findings" };
        let files = if linted.len() == 1 { "file" } else { "files" };
        let _ = writeln!(shown, "{findings} {noun} in {} {files}", linted.len());
    }
    shown
}
