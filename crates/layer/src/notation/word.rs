//! Bytes as words of a line, and back.

/// Writes bytes so that they are one bare word: printable UTF-8 as it is, all else escaped.
pub(super) fn bare(bytes: &[u8]) -> String {
    escape(bytes, |char| {
        char.is_control() || char.is_whitespace() || matches!(char, '"' | '\\')
    })
}

/// Writes bytes between quotes.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let text = escape(bytes, |char| {
        char.is_control() || matches!(char, '"' | '\\')
    });
    format!("\"{text}\"")
}

fn escape(bytes: &[u8], is_special: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' => out.push_str("\\n"),
                '"' | '\\' => out.extend(['\\', char]),
                special if is_special(special) => {
                    let mut buffer = [0; 4];
                    push_hex(&mut out, special.encode_utf8(&mut buffer).as_bytes());
                }
                plain => out.push(plain),
            }
        }
        push_hex(&mut out, chunk.invalid());
    }
    out
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let digit = |value| char::from_digit(value, 16).unwrap_or_default();
        out.push_str("\\x");
        out.extend([digit(u32::from(byte >> 4)), digit(u32::from(byte & 15))]);
    }
}

/// A word of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Word {
    /// Its bytes without quotes and escapes.
    pub(super) bytes: Vec<u8>,
    /// How many of them stand before the first quote; `None` without quotes.
    pub(super) quote: Option<usize>,
}

impl Word {
    /// The text of a word without quotes.
    pub(super) fn text(&self) -> Option<&str> {
        match self.quote {
            None => std::str::from_utf8(&self.bytes).ok(),
            Some(_) => None,
        }
    }
}

/// The words of a line; `None` when a quote or an escape does not end.
pub(super) fn split(line: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = next(rest)?;
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

fn next(text: &str) -> Option<(Word, &str)> {
    let mut bytes = Vec::new();
    let mut quote = None;
    let mut inside = false;
    let mut chars = text.chars();
    loop {
        let before = chars.as_str();
        match chars.next() {
            None if inside => return None,
            None => return Some((Word { bytes, quote }, "")),
            Some(char) if char.is_whitespace() && !inside => {
                return Some((Word { bytes, quote }, before));
            }
            Some('"') => {
                inside = !inside;
                quote = quote.or(Some(bytes.len()));
            }
            Some('\\') => bytes.push(unescape(&mut chars)?),
            Some(char) => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn unescape(chars: &mut std::str::Chars<'_>) -> Option<u8> {
    match chars.next()? {
        'n' => Some(b'\n'),
        char @ ('"' | '\\') => u8::try_from(char).ok(),
        'x' => {
            let high = chars.next()?.to_digit(16)?;
            let low = chars.next()?.to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        }
        _ => None,
    }
}
