//! `SOURCE_DATE_EPOCH` and the text form of a time.

use std::ops::RangeInclusive;

/// What times of files and documents can say: years 0 to 9999 in RFC 3339.
const REPRESENTABLE: RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

const SECONDS_PER_DAY: i64 = 86_400;

/// Reads the seconds of a `SOURCE_DATE_EPOCH`; none if it is not a number, or one that no RFC 3339 time can say.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let seconds: i64 = text.parse().ok()?;
    REPRESENTABLE.contains(&seconds).then_some(seconds)
}

/// Seconds since 1970 in RFC 3339, UTC.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Days since 1970-01-01 as year, month and day of the Gregorian calendar.
///
/// Counts in years that begin in March, so that the leap day is the last one and months have a regular pattern
/// (153 days per five months), within eras of 400 years (146 097 days).
fn civil(days: i64) -> (i64, i64, i64) {
    /// 0000-03-01 to 1970-01-01.
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_PER_ERA: i64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
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
