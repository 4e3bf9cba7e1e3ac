use std::collections::BTreeMap;

use super::fault::TarFault;
use crate::Timestamp;
use crate::limits::{XATTR_NAME_MAX, XATTR_VALUE_MAX};

/// What names of extended attributes start with in records of star, GNU tar, libarchive and Go.
pub(super) const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";
/// What records of sparse files start with.
const SPARSE_PREFIX: &[u8] = b"GNU.sparse.";

/// The records of one extended header. Of several with one key the last holds.
#[derive(Debug, Default)]
pub(super) struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

impl Records {
    /// Reads `length key=value\n` as often as there is one.
    pub(super) fn parse(mut body: &[u8]) -> Result<Self, TarFault> {
        let mut records = BTreeMap::new();
        while !body.is_empty() {
            let (key, value, rest) = parse_record(body)?;
            records.insert(key.to_vec(), value.to_vec());
            body = rest;
        }
        Ok(Self(records))
    }

    /// A value that replaces what the header says; an empty one does not.
    fn get(&self, key: &str) -> Option<&[u8]> {
        self.0
            .get(key.as_bytes())
            .map(Vec::as_slice)
            .filter(|value| !value.is_empty())
    }

    pub(super) fn path(&self) -> Option<&[u8]> {
        self.get("path")
    }

    pub(super) fn link_path(&self) -> Option<&[u8]> {
        self.get("linkpath")
    }

    pub(super) fn number(&self, key: &'static str) -> Result<Option<i64>, TarFault> {
        self.get(key)
            .map(|value| parse_decimal(value).ok_or(TarFault::Number { field: key }))
            .transpose()
    }

    pub(super) fn time(&self, key: &'static str) -> Result<Option<Timestamp>, TarFault> {
        self.get(key)
            .map(|value| parse_time(value).ok_or(TarFault::Number { field: key }))
            .transpose()
    }

    /// Names and values of extended attributes; here an empty value is one.
    pub(super) fn xattrs(&self) -> Result<Vec<Xattr<'_>>, TarFault> {
        self.0
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(XATTR_PREFIX)?, value.as_slice())))
            .map(|(name, value)| check_xattr(name, value).map(|()| (name, value)))
            .collect()
    }

    /// The form in which the records describe a sparse file, if they do.
    pub(super) fn sparse_format(&self) -> Option<&'static str> {
        if !self.0.keys().any(|key| key.starts_with(SPARSE_PREFIX)) {
            return None;
        }
        Some(
            match (self.get("GNU.sparse.major"), self.get("GNU.sparse.map")) {
                (Some(b"1"), _) => "PAX form 1.0",
                (_, Some(_)) => "PAX form 0.1",
                (_, None) => "PAX form 0.0",
            },
        )
    }
}

/// Whether Linux takes, and a PAX record holds, an extended attribute.
pub(super) fn check_xattr(name: &[u8], value: &[u8]) -> Result<(), TarFault> {
    let shown = || name.escape_ascii().to_string();
    let legal = !name.is_empty() && name.len() <= XATTR_NAME_MAX;
    if !legal || name.iter().any(|byte| matches!(byte, b'=' | 0)) {
        return Err(TarFault::XattrName { name: shown() });
    }
    if value.len() > XATTR_VALUE_MAX {
        return Err(TarFault::XattrValue {
            name: shown(),
            bytes: value.len(),
        });
    }
    Ok(())
}

/// Name and value.
type Xattr<'a> = (&'a [u8], &'a [u8]);
/// Key, value, and what follows.
type Record<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn parse_record(body: &[u8]) -> Result<Record<'_>, TarFault> {
    let fault = |problem| TarFault::Pax { problem };
    let space = body
        .iter()
        .position(|byte| *byte == b' ')
        .ok_or(fault("it has no length"))?;
    let (digits, _) = body.split_at(space);
    let length = parse_decimal(digits)
        .and_then(|length| usize::try_from(length).ok())
        .ok_or(fault("its length is not a number"))?;
    if length > body.len() {
        return Err(fault("it is longer than its header"));
    }
    let (record, rest) = body.split_at(length);
    let text = record
        .get(space + 1..)
        .and_then(|text| text.strip_suffix(b"\n"))
        .ok_or(fault("it does not end in a newline"))?;
    let equals = text
        .iter()
        .position(|byte| *byte == b'=')
        .ok_or(fault("it has no `=`"))?;
    let (key, value) = text.split_at(equals);
    let value = value.get(1..).unwrap_or_default();
    if key.is_empty() {
        return Err(fault("it has no key"));
    }
    let name = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
    if key.contains(&0) || name && value.contains(&0) {
        return Err(fault("it has a NUL byte"));
    }
    Ok((key, value, rest))
}

fn parse_decimal(digits: &[u8]) -> Option<i64> {
    // As everywhere in Go: one sign, then digits, nothing else.
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Seconds with a fraction; digits beyond nanoseconds are dropped.
fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let whole = parts.next()?;
    let seconds = parse_decimal(whole)?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanoseconds = fraction
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(9)
        .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    if nanoseconds == 0 || whole.first() != Some(&b'-') {
        return Some(Timestamp {
            seconds,
            nanoseconds,
        });
    }
    Some(Timestamp {
        seconds: seconds.checked_sub(1)?,
        nanoseconds: 1_000_000_000 - nanoseconds,
    })
}

/// A time as [`parse_time`] reads it, without needless zeros.
pub(super) fn print_time(time: Timestamp) -> String {
    if time.nanoseconds == 0 {
        return { time.seconds }.to_string();
    }
    let (sign, seconds, nanoseconds) = if time.seconds < 0 {
        // -1 s and 999 999 999 ns is written -0.000000001.
        let seconds = (time.seconds + 1).unsigned_abs();
        ("-", seconds, 1_000_000_000 - time.nanoseconds)
    } else {
        ("", time.seconds.unsigned_abs(), time.nanoseconds)
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

/// Appends one record. Its length counts its own digits.
pub(super) fn push_record(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + " =\n".len();
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    body.extend_from_slice(format!("{length} ").as_bytes());
    body.extend_from_slice(key);
    body.push(b'=');
    body.extend_from_slice(value);
    body.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CVE class RUSTSEC-2026-0112; hostile-inputs § 5.3, group PAX.
    #[test]
    fn malformed_records_are_errors_and_never_skipped() {
        let cases: [&[u8]; 16] = [
            b"12path=abc\n",
            b"x path=abc\n",
            b"-1 path=abc\n",
            b" path=abc\n",
            b"0 path=abc\n",
            b"99 path=abc\n",
            b"13 path=abc\n",
            b"11 path=abc\n",
            b"12 path=abcd\n",
            b"11 pathabc\n",
            b"7 =abc\n",
            b"12 path=a\0c\n",
            b"12 pa\0h=abc\n",
            b"12 path=abc\n\0\0",
            b"99999999999999999999 path=abc\n",
            b"2 \n",
        ];
        for body in cases {
            assert!(Records::parse(body).is_err(), "{}", body.escape_ascii());
        }
        let good = Records::parse(b"12 path=abc\n").unwrap();
        assert_eq!(good.path(), Some(&b"abc"[..]));
    }

    #[test]
    fn the_last_record_of_a_key_holds_and_an_empty_one_says_nothing() {
        let records = Records::parse(b"10 path=a\n10 path=b\n7 uid=1\n6 uid=\n");
        assert!(records.is_err(), "`7 uid=1` has eight bytes");
        let records = Records::parse(b"10 path=a\n10 path=b\n8 uid=1\n7 uid=\n").unwrap();
        assert_eq!(records.path(), Some(&b"b"[..]));
        assert_eq!(records.number("uid").unwrap(), None);
    }

    #[test]
    fn times_have_nanoseconds_and_may_lie_before_1970() {
        let time = |seconds, nanoseconds| {
            Some(Timestamp {
                seconds,
                nanoseconds,
            })
        };
        let cases: [(&[u8], Option<Timestamp>); 15] = [
            (b"0", time(0, 0)),
            (b"1.5", time(1, 500_000_000)),
            (b"1.", time(1, 0)),
            (b"-1", time(-1, 0)),
            (b"-1.0", time(-1, 0)),
            (b"-1.25", time(-2, 750_000_000)),
            (b"-0.000000001", time(-1, 999_999_999)),
            (b"1.123456789123456789123456789123", time(1, 123_456_789)),
            (b"1e300", None),
            (b"NaN", None),
            (b".5", None),
            (b"1.-5", None),
            (b"1.5.5", None),
            (b"", None),
            (b"99999999999999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn times_are_read_as_they_were_written() {
        for seconds in [i64::MIN + 1, -2, -1, 0, 1, 1_700_000_000, i64::MAX] {
            for nanoseconds in [0, 1, 10, 500_000_000, 999_999_999] {
                let time = Timestamp {
                    seconds,
                    nanoseconds,
                };
                assert_eq!(parse_time(print_time(time).as_bytes()), Some(time));
            }
        }
    }

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        for length in 0..2000 {
            let value = vec![b'v'; length];
            let mut body = Vec::new();
            push_record(&mut body, b"path", &value);
            let (key, read, rest) = parse_record(&body).unwrap();
            assert_eq!((key, read, rest), (&b"path"[..], &value[..], &b""[..]));
        }
    }
}
