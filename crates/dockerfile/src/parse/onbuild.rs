//! ONBUILD.

use crate::diagnostic::Diagnostic;
use crate::instruction::Onbuild;
use crate::source::Spanned;

use super::body::{body, unknown_instruction};
use super::forbidden_trigger;
use super::keyword::Keyword;
use super::parts::{Parts, split};

/// Mistakes that the reference finds in a trigger before the trigger is used. All others it finds in the child, so that
/// they must not stop the build of the parent.
const FATAL_IN_TRIGGER: [&str; 6] = [
    "ForbiddenTrigger",
    "InvalidEncoding",
    "JsonNotStrings",
    "MissingEquals",
    "MissingValue",
    "UnterminatedHeredoc",
];

/// Checks the trigger as far as the reference does and keeps its text.
pub(super) fn onbuild(parts: &mut Parts<'_>) -> Option<Onbuild> {
    if parts.text().is_empty() {
        parts.missing("an instruction");
        return None;
    }
    let line = parts.line;
    let inner = split(line, parts.arguments.clone());
    let keyword_text = line.spanned(inner.keyword);
    let span = line.span(&parts.arguments);
    match Keyword::read(&keyword_text.value) {
        Some(keyword @ (Keyword::From | Keyword::Maintainer | Keyword::Onbuild)) => {
            parts.report(forbidden_trigger(keyword.name(), keyword_text.span));
            return None;
        }
        Some(keyword) => {
            let mut child = Parts {
                line,
                name: keyword.name(),
                flags: inner.flags,
                arguments: inner.arguments,
                heredocs: parts.heredocs.clone(),
                escape: parts.escape,
                span,
                diagnostics: Vec::new(),
            };
            let _ = body(keyword, &mut child);
            for finding in child.diagnostics {
                parts.report(soften(finding));
            }
        }
        None => parts.report(soften(unknown_instruction(&keyword_text))),
    }
    // The text behind ONBUILD as it is, blanks at its end included.
    let mut trigger = line
        .get(parts.arguments.start..line.text().len())
        .to_owned();
    trigger.truncate(trigger.trim_end_matches('\r').len());
    for heredoc in &parts.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.content);
        trigger.push_str(&heredoc.name);
    }
    Some(Onbuild {
        trigger: Spanned::new(trigger, span),
    })
}

/// A mistake that only matters when the trigger runs becomes a warning.
fn soften(finding: Diagnostic) -> Diagnostic {
    if !finding.is_error() || FATAL_IN_TRIGGER.contains(&finding.name) {
        return finding;
    }
    let message = format!(
        "the trigger will fail in images built from this one: {}",
        finding.message
    );
    let softened = Diagnostic::warning("InvalidTrigger", finding.span, message);
    match finding.help {
        Some(help) => softened.with_help(help),
        None => softened,
    }
}
