//! Argument forms that several instructions share.

use crate::diagnostic::Diagnostic;
use crate::instruction::{Arg, ArgDeclaration, CommandForm, KeyValue, KeyValueForm, KeyValues};
use crate::source::Word;

use super::parts::Parts;
use super::words::{QuotedWord, first_word, split_quoted};

/// CMD, ENTRYPOINT, RUN and the command of HEALTHCHECK.
pub(super) fn command(parts: &mut Parts<'_>) -> Option<CommandForm> {
    let words = parts.json().ok()?;
    Some(match words {
        Some(words) => CommandForm::Exec(words.into_iter().map(|(word, _)| word).collect()),
        None => CommandForm::Shell(parts.text().to_owned()),
    })
}

/// SHELL: an array with at least one element.
pub(super) fn shell(parts: &mut Parts<'_>) -> Option<Vec<String>> {
    match parts.json().ok()? {
        Some(words) if !words.is_empty() => Some(words.into_iter().map(|(word, _)| word).collect()),
        None if !parts.text().is_empty() => {
            let message = "SHELL must be written as a JSON array";
            let help = r#"for example `SHELL ["/bin/bash", "-c"]`"#;
            let span = parts.line.span(&parts.arguments);
            parts.report(Diagnostic::error("ShellNotJson", span, message).with_help(help));
            None
        }
        Some(_) | None => {
            parts.missing("at least one word");
            None
        }
    }
}

/// MAINTAINER, STOPSIGNAL, USER, WORKDIR.
pub(super) fn rest_of_line(parts: &mut Parts<'_>) -> Option<Word> {
    if parts.text().is_empty() {
        parts.missing("an argument");
        return None;
    }
    Some(parts.line.word(parts.arguments.clone()))
}

/// ARG.
pub(super) fn variables(parts: &mut Parts<'_>) -> Option<Arg> {
    let words = split_quoted(parts.line.text(), parts.arguments.clone(), parts.escape);
    if words.is_empty() {
        parts.missing("at least one name");
        return None;
    }
    let mut declarations = Vec::new();
    for word in words {
        let (name, default) = match split_pair(parts, &word) {
            Some((name, value)) => (name, Some(value)),
            None => (
                Word::new(word.text.clone(), parts.line.span(&word.range)),
                None,
            ),
        };
        if name.raw.is_empty() {
            blank_name(parts, &word);
            return None;
        }
        declarations.push(ArgDeclaration { name, default });
    }
    Some(Arg { declarations })
}

/// ENV and LABEL.
pub(super) fn key_values(parts: &mut Parts<'_>) -> Option<KeyValues> {
    let words = split_quoted(parts.line.text(), parts.arguments.clone(), parts.escape);
    let Some(first) = words.first() else {
        parts.missing("at least one `name=value`");
        return None;
    };
    if !first.text.contains('=') {
        return single_pair(parts);
    }
    let mut pairs = Vec::new();
    for word in &words {
        let Some((key, value)) = split_pair(parts, word) else {
            let span = parts.line.span(&word.range);
            let message = format!(
                "`{}` in {} has no `=`; all or none must have one",
                word.text, parts.name
            );
            let help = "a value with blanks needs quotes: `name=\"a b\"`";
            parts.report(Diagnostic::error("MissingEquals", span, message).with_help(help));
            return None;
        };
        if key.raw.is_empty() {
            blank_name(parts, word);
            return None;
        }
        pairs.push(KeyValue { key, value });
    }
    Some(KeyValues {
        form: KeyValueForm::Equals,
        pairs,
    })
}

/// `ENV name the rest of the line`.
fn single_pair(parts: &mut Parts<'_>) -> Option<KeyValues> {
    let (key, value) = first_word(parts.line.text(), parts.arguments.clone());
    if key.end == parts.arguments.end {
        let message = format!(
            "`{}` in {} has no value",
            parts.line.get(key.clone()),
            parts.name
        );
        let span = parts.line.span(&key);
        parts.report(
            Diagnostic::error("MissingValue", span, message).with_help("write `name=value`"),
        );
        return None;
    }
    let pair = KeyValue {
        key: parts.line.word(key),
        value: parts.line.word(value),
    };
    Some(KeyValues {
        form: KeyValueForm::Blank,
        pairs: vec![pair],
    })
}

/// Both sides of the first `=` of a word.
fn split_pair(parts: &Parts<'_>, word: &QuotedWord) -> Option<(Word, Word)> {
    let (key, value) = word.text.split_once('=')?;
    // Only an escape at the end of the line is missing in the text, so offsets agree.
    let middle = word.range.start + key.len();
    let key_span = parts.line.span(&(word.range.start..middle));
    let value_span = parts.line.span(&(middle + 1..word.range.end));
    Some((Word::new(key, key_span), Word::new(value, value_span)))
}

fn blank_name(parts: &mut Parts<'_>, word: &QuotedWord) {
    let span = parts.line.span(&word.range);
    let message = format!("a name in {} is blank: `{}`", parts.name, word.text);
    parts.report(Diagnostic::error("BlankName", span, message));
}
