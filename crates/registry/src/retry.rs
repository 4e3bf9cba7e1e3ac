//! What is tried again, how often and after how long.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::limits;

/// How often and after how long a request is tried again. Tests pass zero delays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least one is made.
    pub attempts: u32,
    /// The delay before the second attempt; it doubles each time, and half of it is random.
    pub base: Duration,
    /// The longest delay that we choose ourselves.
    pub longest: Duration,
    /// The longest `Retry-After` that is honoured; a longer one ends the attempts.
    pub longest_asked: Duration,
    /// No attempt begins later than this after the first, or after the last one that moved something. `None`: the number of attempts alone
    /// counts.
    pub total: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            longest_asked: limits::RETRY_AFTER,
            total: Some(limits::RETRYING),
        }
    }
}

/// Why there is no further attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GiveUp {
    /// All were made.
    Attempts,
    /// The registry asks for more patience than there is.
    Asked(Duration),
    /// It has taken too long.
    Time(Duration),
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempts => write!(f, "that was the last attempt"),
            Self::Asked(asked) => {
                write!(
                    f,
                    "the registry asks to wait {} s, which is too long",
                    asked.as_secs()
                )
            }
            Self::Time(total) => write!(f, "nothing has moved for {} s", total.as_secs()),
        }
    }
}

impl RetryPolicy {
    /// Attempts without waiting between them.
    pub const fn immediate(attempts: u32) -> Self {
        Self {
            attempts,
            base: Duration::ZERO,
            longest: Duration::ZERO,
            longest_asked: Duration::ZERO,
            total: None,
        }
    }

    /// The delay after `attempt` (1 = the first) failed, `spent` after the first began; or why there is none. `jitter` is in 0..=1.
    pub(crate) fn delay(
        &self,
        attempt: u32,
        asked: Option<Duration>,
        spent: Duration,
        jitter: f64,
    ) -> Result<Duration, GiveUp> {
        if attempt >= self.attempts {
            return Err(GiveUp::Attempts);
        }
        let doubled = self
            .base
            .saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        let own = doubled.min(self.longest);
        let own = own / 2 + (own / 2).mul_f64(jitter.clamp(0.0, 1.0));
        let delay = match asked {
            None => own,
            // A policy without delays is a test's: it does not wait for anybody.
            Some(_) if self.longest_asked.is_zero() => own,
            Some(asked) if asked <= self.longest_asked => asked.max(own),
            Some(asked) => return Err(GiveUp::Asked(asked)),
        };
        match self.total {
            Some(total) if spent.saturating_add(delay) > total => Err(GiveUp::Time(total)),
            _ => Ok(delay),
        }
    }
}

/// A random number in 0..1 from the standard library's per-map keys: enough to keep pods from retrying in step.
pub(crate) fn jitter() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or_default();
    f64::from(bits) / f64::from(u32::MAX)
}

/// Whether an answer of this status may be another one next time.
pub(crate) const fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// `Retry-After`, RFC 9110 § 10.2.3: seconds, or a date. A date that has passed means now.
pub(crate) fn retry_after(header: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    let text = header?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    let left = date.with_timezone(&Utc).signed_duration_since(now);
    Some(left.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn delays_double_up_to_the_longest_and_end_with_the_attempts() {
        let policy = RetryPolicy {
            attempts: 5,
            base: Duration::from_secs(1),
            longest: Duration::from_secs(3),
            ..RetryPolicy::default()
        };
        let delays: Vec<_> = (1..=5)
            .map(|attempt| policy.delay(attempt, None, NOW, 1.0).map(|d| d.as_secs()))
            .collect();
        assert_eq!(delays, [Ok(1), Ok(2), Ok(3), Ok(3), Err(GiveUp::Attempts)]);
        let half = Duration::from_millis(500);
        assert_eq!(policy.delay(1, None, NOW, 0.0), Ok(half));
    }

    #[test]
    fn retry_after_is_honoured_up_to_its_limit() {
        let policy = RetryPolicy::default();
        let asked = |seconds| policy.delay(1, Some(Duration::from_secs(seconds)), NOW, 1.0);
        assert_eq!(asked(7), Ok(Duration::from_secs(7)));
        assert_eq!(asked(300), Ok(Duration::from_mins(5)));
        assert_eq!(asked(301), Err(GiveUp::Asked(Duration::from_secs(301))));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-11-21T10:00:00Z").unwrap();
        let cases = [
            (Some("7"), Some(7)),
            (Some(" 7 "), Some(7)),
            (Some("-1"), None),
            (Some("1e9"), None),
            (Some("Sat, 21 Nov 2026 10:02:00 GMT"), Some(120)),
            (Some("Sat, 21 Nov 2026 09:00:00 GMT"), Some(0)),
            (Some("soon"), None),
            (None, None),
        ];
        for (header, seconds) in cases {
            let read = retry_after(header, now.to_utc()).map(|read| read.as_secs());
            assert_eq!(read, seconds, "{header:?}");
        }
        let never = retry_after(Some("Fri, 31 Dec 9999 23:59:59 GMT"), now.to_utc());
        assert!(never.is_some_and(|never| never > limits::RETRY_AFTER));
    }

    #[test]
    fn a_registry_that_hangs_is_left_when_the_time_is_over() {
        let policy = RetryPolicy::default();
        let minute = |minutes| policy.delay(2, None, Duration::from_mins(minutes), 1.0);
        minute(9).unwrap();
        assert_eq!(minute(10), Err(GiveUp::Time(Duration::from_mins(10))));
    }

    #[test]
    fn a_policy_of_a_test_waits_for_nobody() {
        let policy = RetryPolicy::immediate(2);
        let asked = Some(Duration::from_mins(1));
        assert_eq!(policy.delay(1, asked, NOW, 1.0), Ok(Duration::ZERO));
    }

    #[test]
    fn jitter_stays_in_its_range() {
        assert!((0..100).map(|_| jitter()).all(|j| (0.0..=1.0).contains(&j)));
    }
}
