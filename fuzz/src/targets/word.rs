use kigumi_dockerfile::word::{expand, expand_heredoc, split_raw, split_unquoted};

use super::parts;

/// More than a value can grow to: what is substituted into one word is limited, and the word itself is in the input.
const LARGEST: usize = 2 << 20;

/// The expander in all its forms. Input: options, two values, the word. Words are expanded in bounded memory; what is split is what is
/// expanded, blanks aside.
pub fn word(data: &[u8]) {
    let [options, first, second, text] = parts::<4>(data);
    let (first, second) = (
        String::from_utf8_lossy(first),
        String::from_utf8_lossy(second),
    );
    let text = String::from_utf8_lossy(text);
    let escape = if options.first().is_some_and(|byte| byte % 2 == 1) {
        '`'
    } else {
        '\\'
    };
    let lookup = |name: &str| match name {
        "a" => Some(first.to_string()),
        "b" => Some(second.to_string()),
        "e" => Some(String::new()),
        "long" => Some("ab/".repeat(20_000)),
        _ => None,
    };
    if let Ok(expanded) = expand(&text, &lookup, escape) {
        assert!(
            expanded.text.len() <= LARGEST,
            "{} bytes",
            expanded.text.len()
        );
        let split: String = expanded.words.concat();
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeezed(&split), squeezed(&expanded.text));
        assert!(expanded.words.iter().all(|word| !word.is_empty()));
        assert!(
            !expanded
                .undefined
                .iter()
                .any(|name| name == "a" || name == "e")
        );
    }
    if let Ok(expanded) = expand_heredoc(&text, &lookup) {
        assert!(
            expanded.text.len() <= LARGEST,
            "{} bytes",
            expanded.text.len()
        );
    }
    let _ = split_unquoted(&text);
    let _ = split_raw(&text);
    quoted_is_itself(&text);
}

/// What is protected in either way comes out as it went in.
fn quoted_is_itself(text: &str) {
    let nothing = |_: &str| None;
    if !text.contains('\'') {
        let expanded =
            expand(&format!("'{text}'"), &nothing, '\\').expect("single quotes protect everything");
        assert_eq!(expanded.text, text);
    }
    let mut escaped = String::from('"');
    for character in text.chars() {
        if matches!(character, '"' | '$' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped.push('"');
    let expanded =
        expand(&escaped, &nothing, '\\').expect("three escapes are all that double quotes need");
    assert_eq!(expanded.text, text);
}
