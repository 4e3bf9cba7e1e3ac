//! FROM.

use std::ops::Range;

use crate::diagnostic::Diagnostic;
use crate::dockerfile::{Comment, From};
use crate::source::Spanned;

use super::flags;
use super::parts::Parts;
use super::words::split_blanks;

pub(super) fn from(
    parts: &mut Parts<'_>,
    keyword: Spanned<String>,
    original: String,
    comments: Vec<Comment>,
) -> Option<From> {
    let mut flags = parts.flags(flags::FROM);
    let words = split_blanks(parts.line.text(), parts.arguments.clone());
    let line = parts.line;
    let (base, naming) = match words.as_slice() {
        [base] => (base, None),
        [base, separator, name] if line.get(separator.clone()).eq_ignore_ascii_case("as") => {
            (base, Some((separator, name)))
        }
        _ => {
            let message = "FROM has one argument, or three: `FROM image AS name`";
            parts.report(Diagnostic::error("InvalidFrom", parts.span, message));
            return None;
        }
    };
    let name = match naming {
        Some((_, name)) => Some(stage_name(parts, name)?),
        None => None,
    };
    Some(From {
        span: parts.span,
        keyword,
        original,
        comments,
        platform: flags.word("platform"),
        base: line.word(base.clone()),
        as_keyword: naming.map(|(separator, _)| line.spanned(separator.clone())),
        name,
    })
}

fn stage_name(parts: &mut Parts<'_>, range: &Range<usize>) -> Option<Spanned<String>> {
    let written = parts.line.get(range.clone());
    let name = written.to_lowercase();
    let span = parts.line.span(range);
    let is_valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    if !is_valid {
        let message = format!("`{written}` is no name for a stage");
        let help = "a name begins with a letter and has letters, digits, `-`, `_` and `.` only";
        parts.report(Diagnostic::error("InvalidStageName", span, message).with_help(help));
        return None;
    }
    Some(Spanned::new(name, span))
}
