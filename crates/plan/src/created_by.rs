//! The texts of history entries. They are BuildKit's, down to Go's ways to print a value, since people and tools read
//! them. image-spec v1.1 config.md § `history`.

use std::fmt::Write as _;
use std::time::Duration;

use kigumi_oci::HistoryEntry;

/// What BuildKit writes into every entry.
// COMPAT(buildkit): tools recognise entries of a Dockerfile by this comment.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// What happens to an entry that ran on a file system state.
pub(crate) const ON_STATE: &str = " # buildkit";

/// One entry.
pub(crate) fn entry(created: &str, text: String, layer: bool) -> HistoryEntry {
    HistoryEntry {
        created: Some(created.to_owned()),
        created_by: Some(text),
        author: None,
        comment: Some(COMMENT.to_owned()),
        empty_layer: !layer,
    }
}

/// `NAME a b`, the words as they are.
pub(crate) fn words<'a>(name: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = name.to_owned();
    for word in words {
        text.push(' ');
        text.push_str(word);
    }
    text
}

/// `NAME k=v k=v`, unquoted.
pub(crate) fn pairs(name: &str, pairs: &[(String, String)]) -> String {
    let mut text = name.to_owned();
    for (key, value) in pairs {
        text.push(' ');
        text.push_str(key);
        text.push('=');
        text.push_str(value);
    }
    text
}

/// `NAME [a b]`, unquoted.
pub(crate) fn list(name: &str, items: &[String]) -> String {
    format!("{name} [{}]", items.join(" "))
}

/// `NAME ["a" "b"]`, quoted as Go's `%q` does.
pub(crate) fn quoted_list(name: &str, items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quote(item)).collect();
    format!("{name} [{}]", quoted.join(" "))
}

/// Go's `strconv.Quote`.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            plain if is_printable(plain) => quoted.push(plain),
            other => push_escape(&mut quoted, u32::from(other)),
        }
    }
    quoted.push('"');
    quoted
}

/// Go's `strconv.IsPrint`, for what occurs: controls, unusual blanks and invisible marks are not printable.
fn is_printable(character: char) -> bool {
    let invisible = matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}'
    );
    character == ' ' || !(character.is_control() || character.is_whitespace() || invisible)
}

fn push_escape(quoted: &mut String, code: u32) {
    let written = match code {
        0..0x80 => write!(quoted, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(quoted, "\\u{code:04x}"),
        _ => write!(quoted, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "a String takes everything");
}

/// Go's `time.Duration.String`: `0s`, `1.5s`, `1m30s`, `2h0m0s`, `250ms`.
pub(crate) fn duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    if nanoseconds < 1_000_000_000 {
        let (unit, divisor) = match nanoseconds {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{}{unit}", decimal(nanoseconds, divisor));
    }
    let seconds = decimal(nanoseconds % 60_000_000_000, 1_000_000_000);
    let minutes = nanoseconds / 60_000_000_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / divisor` without trailing zeros; the divisor is a power of ten.
fn decimal(value: u128, divisor: u128) -> String {
    let digits = divisor.ilog10() as usize;
    let fraction = format!("{:0digits$}", value % divisor);
    let fraction = fraction.trim_end_matches('0');
    let whole = value / divisor;
    if digits == 0 || fraction.is_empty() {
        whole.to_string()
    } else {
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_go_does() {
        for (text, expected) in [
            ("a b", r#""a b""#),
            ("x\"y\\", r#""x\"y\\""#),
            ("ü한", r#""ü한""#),
            ("\n\t\u{1}\u{7f}", r#""\n\t\x01\x7f""#),
            ("\u{a0}\u{200b}\u{85}", r#""\u00a0\u200b\u0085""#),
            ("\u{e0001}😀", "\"\\U000e0001😀\""),
        ] {
            assert_eq!(quote(text), expected);
        }
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_661_000_000_001, "1h1m1.000000001s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), expected);
        }
    }
}
