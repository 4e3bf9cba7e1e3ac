//! The ways in which an argument text is cut into pieces. All give ranges of the joined line.

use std::ops::Range;

use super::logical::Logical;

/// White space between words as the reference splits it; other Unicode white space is part of a word.
fn is_blank(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// Cuts at blanks, whatever they stand between.
pub(super) fn split_blanks(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut rest = range;
    while !rest.is_empty() {
        let (word, after) = first_word(text, rest);
        if !word.is_empty() {
            words.push(word);
        }
        rest = after;
    }
    words
}

/// The text up to the first blank, and what follows the blanks behind it.
pub(super) fn first_word(text: &str, range: Range<usize>) -> (Range<usize>, Range<usize>) {
    let piece = text.get(range.clone()).unwrap_or_default();
    let length = piece.find(is_blank).unwrap_or(piece.len());
    let gap = piece.get(length..).unwrap_or_default();
    let gap = gap.len() - gap.trim_start_matches(is_blank).len();
    (
        range.start..range.start + length,
        range.start + length + gap..range.end,
    )
}

/// A word that keeps its quotes and escapes, and where it stands.
pub(super) struct QuotedWord {
    pub(super) text: String,
    pub(super) range: Range<usize>,
}

/// Cuts at white space outside of quotes; quotes and escapes stay in the words. An unfinished quote reaches to the end
/// and is left for the expansion to complain about.
pub(super) fn split_quoted(text: &str, range: Range<usize>, escape: char) -> Vec<QuotedWord> {
    let mut words: Vec<QuotedWord> = Vec::new();
    let mut word = String::new();
    let mut start = None;
    let mut quote = None;
    let base = range.start;
    let piece = text.get(range).unwrap_or_default();
    let mut characters = piece.char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            if let Some(start) = start.take()
                && !word.is_empty()
            {
                let text = std::mem::take(&mut word);
                words.push(QuotedWord {
                    text,
                    range: base + start..base + at,
                });
            }
            continue;
        }
        start.get_or_insert(at);
        if character == escape && quote != Some('\'') {
            // An escape at the very end of the line vanishes.
            if let Some((_, escaped)) = characters.next() {
                word.extend([character, escaped]);
            }
            continue;
        }
        word.push(character);
        match quote {
            Some(open) if open == character => quote = None,
            None if matches!(character, '\'' | '"') => quote = Some(character),
            _ => {}
        }
    }
    if let Some(start) = start
        && !word.is_empty()
    {
        words.push(QuotedWord {
            text: word,
            range: base + start..base + piece.len(),
        });
    }
    words
}

/// A leading word that starts with `--`, quotes and escapes carried out.
pub(super) struct FlagText {
    pub(super) text: String,
    pub(super) range: Range<usize>,
}

/// Takes the flags off the front. A lone `--` ends them and is dropped. The escape character is always `\` here.
pub(super) fn split_flags(text: &str, range: Range<usize>) -> (Vec<FlagText>, Range<usize>) {
    let mut flags = Vec::new();
    let mut rest = range;
    loop {
        let piece = text.get(rest.clone()).unwrap_or_default();
        let trimmed = piece.trim_start();
        let start = rest.start + (piece.len() - trimmed.len());
        if !trimmed.starts_with("--") {
            return (flags, start..rest.end);
        }
        let (value, length) = read_flag(trimmed);
        rest = start + length..rest.end;
        if value == "--" {
            return (flags, rest);
        }
        flags.push(FlagText {
            text: value,
            range: start..start + length,
        });
    }
}

/// Reads one flag and gives its length as written.
fn read_flag(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (None, character) if character.is_whitespace() => return (value, at),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), character) if open == character => quote = None,
            (_, '\\') => value.extend(characters.next().map(|(_, escaped)| escaped)),
            (_, character) => value.push(character),
        }
    }
    (value, text.len())
}

/// The value of a string literal and where the literal stands.
pub(super) type Literal = (String, Range<usize>);

/// What a text that may be a JSON array turned out to be.
pub(super) enum Json {
    /// An array of strings, each with the place of its literal.
    Strings(Vec<Literal>),
    /// An array of which at least one element is something else.
    OtherElements,
    /// Not an array, or not JSON: the text means itself.
    NotAnArray,
}

/// Reads the exec form.
pub(super) fn read_json(line: &Logical, range: Range<usize>) -> Json {
    let text = line.get(range.clone());
    let trimmed = text.trim_start();
    if !trimmed.starts_with('[') {
        return Json::NotAnArray;
    }
    let repaired = replace_lone_surrogates(trimmed);
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(&repaired) else {
        return Json::NotAnArray;
    };
    let start = range.start + (text.len() - trimmed.len());
    let mut literals = string_literals(trimmed, start).into_iter();
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Some((text, literals.next().unwrap_or(range.clone()))),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    });
    strings
        .collect::<Option<_>>()
        .map_or(Json::OtherElements, Json::Strings)
}

/// The places of the string literals in a valid array of strings.
fn string_literals(json: &str, base: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open = None;
    let mut characters = json.char_indices();
    while let Some((at, character)) = characters.next() {
        match (character, open) {
            ('\\', Some(_)) => {
                characters.next();
            }
            ('"', None) => open = Some(at),
            ('"', Some(start)) => {
                found.push(base + start..base + at + 1);
                open = None;
            }
            _ => {}
        }
    }
    found
}

/// COMPAT(buildkit): an escaped half of a surrogate pair is U+FFFD there; our JSON reader would refuse the whole array,
/// and the instruction would silently become a shell command.
fn replace_lone_surrogates(json: &str) -> String {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut result = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at_checked(at).unwrap_or((rest, ""));
        result.push_str(before);
        let high = unit(escape);
        let low = escape.get(6..).and_then(unit);
        let length = match (high, low) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                result.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            _ => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        result.push_str(escape.get(..length).unwrap_or(escape));
        rest = escape.get(length..).unwrap_or_default();
    }
    result.push_str(rest);
    result
}
