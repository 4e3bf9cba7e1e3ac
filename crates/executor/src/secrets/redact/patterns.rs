//! The byte strings that give a value away.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// A byte string to be hidden.
pub(super) type Pattern = Zeroizing<Vec<u8>>;

/// Shortest value that is hidden.
pub(super) const SHORTEST: usize = 4;
/// Shortest line of a longer value, and shortest encoded form, that is hidden: shorter ones occur by chance.
const SHORTEST_PART: usize = 8;
/// How far windows of a value are apart.
const STRIDE: usize = 64;
/// How far a window reaches into the next: as many bytes as an encoding of either may leave uncovered where they meet.
const OVERLAP: usize = 8;

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Every pattern of a value.
pub(super) fn of(value: &[u8]) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    let trimmed = value.trim_ascii();
    if trimmed.len() < SHORTEST {
        return patterns;
    }
    whole(trimmed, &mut patterns);
    if trimmed.len() != value.len() {
        // The end of line changes the last characters of base64. Elsewhere it stands by itself, and stays where it is.
        base64(value, &mut patterns);
    }
    let lines = trimmed.split(|byte| matches!(byte, b'\n' | b'\r'));
    for line in lines.map(<[u8]>::trim_ascii) {
        // The frame of a PEM file is no secret, and the same for everybody.
        if line.len() >= SHORTEST_PART && line.len() < trimmed.len() && !line.starts_with(b"-----")
        {
            windows(line, |window| patterns.push(pattern(window)));
        }
    }
    patterns
}

fn pattern(bytes: &[u8]) -> Pattern {
    Zeroizing::new(bytes.to_vec())
}

fn whole(value: &[u8], patterns: &mut Vec<Pattern>) {
    windows(value, |window| patterns.push(pattern(window)));
    base64(value, patterns);
    windows(value, |window| {
        let mut add = |spelled: Pattern| add(spelled, patterns);
        for alphabet in [LOWER, UPPER] {
            add(spelled(window, |byte, text| digits(byte, alphabet, text)));
            add(spelled(window, |byte, text| percent(byte, alphabet, text)));
        }
        add(spelled(window, json));
        // As shells trace what they execute (`set -x`): bash and busybox differ.
        for quote in [&b"'\\''"[..], b"'\"'\"'"] {
            add(spelled(window, |byte, text| match byte {
                b'\'' => text.extend(quote),
                byte => text.push(byte),
            }));
        }
    });
}

fn base64(value: &[u8], patterns: &mut Vec<Pattern>) {
    windows(value, |window| {
        for engine in [&BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE_NO_PAD] {
            for offset in 0..3 {
                add(base64_inside(engine, offset, window), patterns);
            }
        }
    });
}

fn add(encoded: Pattern, patterns: &mut Vec<Pattern>) {
    if encoded.len() >= SHORTEST_PART {
        patterns.push(encoded);
    }
}

/// Cuts a value into windows of `STRIDE + OVERLAP` bytes; the last one ends where the value ends.
fn windows(value: &[u8], mut take: impl FnMut(&[u8])) {
    let length = STRIDE + OVERLAP;
    let mut start = 0;
    while let Some(window) = value.get(start..start + length) {
        take(window);
        start += STRIDE;
    }
    // The windows so far reach `OVERLAP` beyond `start`.
    if value.len() > start + OVERLAP || start == 0 {
        take(
            value
                .get(value.len().saturating_sub(length)..)
                .unwrap_or(value),
        );
    }
}

/// What of the base64 form of anything is sure when the value begins `offset` bytes behind a multiple of three.
fn base64_inside(engine: &base64::engine::GeneralPurpose, offset: usize, value: &[u8]) -> Pattern {
    let mut padded = Zeroizing::new(vec![0; offset]);
    padded.extend_from_slice(value);
    let text = Zeroizing::new(engine.encode(&padded));
    // The characters that hold bits of what stands before and behind.
    let first = if offset == 0 { 0 } else { offset + 1 };
    let last = text.len() - usize::from(!padded.len().is_multiple_of(3));
    pattern(text.as_bytes().get(first..last).unwrap_or_default())
}

fn spelled(value: &[u8], spell: impl Fn(u8, &mut Vec<u8>)) -> Pattern {
    // Room for the longest spelling of every byte: a vector that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(value.len() * 6));
    for byte in value {
        spell(*byte, &mut text);
    }
    text
}

fn digits(byte: u8, alphabet: &[u8; 16], text: &mut Vec<u8>) {
    for digit in [byte >> 4, byte & 15] {
        text.extend(alphabet.get(usize::from(digit)));
    }
}

/// RFC 3986: everything but unreserved characters is `%` and two digits.
fn percent(byte: u8, alphabet: &[u8; 16], text: &mut Vec<u8>) {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        text.push(byte);
    } else {
        text.push(b'%');
        digits(byte, alphabet, text);
    }
}

/// RFC 8259, as writers escape that leave what is not ASCII as it is.
fn json(byte: u8, text: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => text.extend([b'\\', byte]),
        b'\n' => text.extend(b"\\n"),
        b'\r' => text.extend(b"\\r"),
        b'\t' => text.extend(b"\\t"),
        0..0x20 => {
            text.extend(b"\\u00");
            digits(byte, LOWER, text);
        }
        _ => text.push(byte),
    }
}
