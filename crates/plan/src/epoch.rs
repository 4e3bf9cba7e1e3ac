//! `SOURCE_DATE_EPOCH` and the text form of a time.

use std::ops::RangeInclusive;

use chrono::{DateTime, SecondsFormat, Utc};

/// What times of files and documents can say: years 0 to 9999 in RFC 3339.
const REPRESENTABLE: RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// Reads the seconds of a `SOURCE_DATE_EPOCH`; none if it is not a number, or one that no RFC 3339 time can say.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let seconds: i64 = text.parse().ok()?;
    REPRESENTABLE.contains(&seconds).then_some(seconds)
}

/// Seconds since 1970 in RFC 3339, UTC: the form of `created` in image configs. Times that no calendar has become 1970.
pub fn rfc3339(seconds: i64) -> String {
    DateTime::<Utc>::from_timestamp(seconds, 0)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_rfc_3339() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_000, "1970-01-01T00:16:40Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (1_000_000_000, "2001-09-09T01:46:40Z"),
            (i64::MAX, "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected);
        }
    }

    #[test]
    fn what_is_not_a_representable_number_is_no_epoch() {
        for text in [
            "yesterday",
            "",
            "1.5",
            "253402300800",
            "99999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
