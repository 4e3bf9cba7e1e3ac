//! Checkstyle's XML.

use std::fmt::Write as _;

use kigumi_dockerfile::lint::Level;

use super::sarif::message;
use super::{Linted, id_of};

pub(super) fn render(linted: &[Linted]) -> String {
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<checkstyle version=\"4.3\">\n");
    for file in linted {
        let _ = writeln!(xml, "  <file name=\"{}\">", escaped(&file.name));
        for finding in &file.findings {
            let severity = finding.level().name();
            let _ = error(
                &mut xml,
                finding.span.line,
                severity,
                &message(finding),
                finding.rule.id,
            );
        }
        for mistake in file.mistakes() {
            let _ = error(
                &mut xml,
                mistake.span.line,
                Level::Error.name(),
                &mistake.message,
                id_of(mistake),
            );
        }
        xml.push_str("  </file>\n");
    }
    xml.push_str("</checkstyle>\n");
    xml
}

fn error(
    xml: &mut String,
    line: usize,
    severity: &str,
    message: &str,
    id: &str,
) -> std::fmt::Result {
    writeln!(
        xml,
        "    <error line=\"{line}\" column=\"1\" severity=\"{severity}\" message=\"{}\" source=\"{id}\"/>",
        escaped(message)
    )
}

/// Text for an attribute. XML has no way to write control characters.
fn escaped(text: &str) -> String {
    let mut result = String::new();
    for character in text.chars() {
        match character {
            '&' => result.push_str("&amp;"),
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '"' => result.push_str("&quot;"),
            '\'' => result.push_str("&apos;"),
            control if control.is_control() => result.push('\u{fffd}'),
            other => result.push(other),
        }
    }
    result
}
