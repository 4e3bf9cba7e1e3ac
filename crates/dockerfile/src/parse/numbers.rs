//! Numbers as Go reads them: durations, booleans, sizes, octal modes.

use std::time::Duration;

/// Reads a duration such as `1m30s`, `1.5h`, `100ms` or `0`. Negative ones are `None` like anything else that is wrong.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanoseconds: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        nanoseconds = nanoseconds.checked_add(scaled(number, unit_nanoseconds(unit)?)?)?;
        rest = after;
    }
    // The config stores a signed number of nanoseconds.
    let nanoseconds = i64::try_from(nanoseconds).ok()?;
    (!text.is_empty()).then_some(Duration::from_nanos(nanoseconds.unsigned_abs()))
}

fn unit_nanoseconds(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    })
}

/// A decimal number times a factor, what is behind the comma of the result cut off.
fn scaled(number: &str, factor: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut value = whole.checked_mul(factor)?;
    let mut unit = factor;
    for digit in fraction.chars().take(18) {
        let digit = u128::from(digit.to_digit(10)?);
        // Multiplied first: the digit of `0.5h` must not be lost to rounding.
        value = value.checked_add(digit * unit / 10)?;
        unit = unit.checked_div(10)?;
    }
    Some(value)
}

/// Reads a boolean of a mount option.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads octal digits.
pub(crate) fn parse_octal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

/// Reads a size in bytes: a number, perhaps with a fraction, and a binary unit (`k`, `MB`, `GiB`; any case).
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let prefix = unit.strip_suffix("ib").filter(|rest| !rest.is_empty());
    let prefix = prefix.or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    u64::try_from(scaled(number, 1 << (10 * power))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_go() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("5s", Some(5_000_000_000)),
            ("30s", Some(30_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("1500ms", Some(1_500_000_000)),
            ("10us", Some(10_000)),
            ("10µs", Some(10_000)),
            ("7ns", Some(7)),
            ("0.1s", Some(100_000_000)),
            ("1.123456789s", Some(1_123_456_789)),
            ("+1s", Some(1_000_000_000)),
            ("0s", Some(0)),
            ("3", None),
            ("", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("-1s", None),
            ("1 s", None),
            ("1s ", None),
            ("99999999999h", None),
        ] {
            let found = parse_duration(text).map(|duration| duration.as_nanos());
            assert_eq!(found, wanted, "`{text}`");
        }
    }

    #[test]
    fn sizes_are_binary_whatever_the_unit_is_called() {
        for (text, wanted) in [
            ("10", Some(10)),
            ("10b", Some(10)),
            ("1k", Some(1024)),
            ("1KB", Some(1024)),
            ("1KiB", Some(1024)),
            ("1.5k", Some(1536)),
            ("64m", Some(64 << 20)),
            ("2 g", Some(2 << 30)),
            ("1t", Some(1 << 40)),
            ("", None),
            ("m", None),
            ("1x", None),
            ("1ib", None),
            ("-1", None),
            ("99999999p", None),
        ] {
            assert_eq!(parse_size(text), wanted, "`{text}`");
        }
    }

    #[test]
    fn octal_modes_have_digits_only() {
        for (text, wanted) in [
            ("0755", Some(0o755)),
            ("1777", Some(0o1777)),
            ("9", None),
            ("+7", None),
            ("", None),
            ("0o7", None),
        ] {
            assert_eq!(parse_octal(text), wanted, "`{text}`");
        }
    }
}
