//! What is tried again, how often and after how long.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

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
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            longest_asked: limits::RETRY_AFTER,
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
        }
    }

    /// The delay after `attempt` (1 = the first) failed, or `None` when it was the last. `jitter` is in 0..=1.
    pub fn delay(&self, attempt: u32, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = self
            .base
            .saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        let own = doubled.min(self.longest);
        let own = own / 2 + (own / 2).mul_f64(jitter.clamp(0.0, 1.0));
        match asked {
            None => Some(own),
            // A policy without delays is a test's: it does not wait for anybody.
            Some(_) if self.longest_asked.is_zero() => Some(own),
            Some(asked) if asked <= self.longest_asked => Some(asked.max(own)),
            Some(_) => None,
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

/// `Retry-After` in seconds. A date is not understood: it would need a clock, and registries send seconds.
pub(crate) fn retry_after(header: Option<&str>) -> Option<Duration> {
    header?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_end_with_the_attempts() {
        let policy = RetryPolicy {
            attempts: 5,
            base: Duration::from_secs(1),
            longest: Duration::from_secs(3),
            longest_asked: Duration::from_mins(5),
        };
        let delays: Vec<_> = (1..=5)
            .map(|attempt| policy.delay(attempt, None, 1.0).map(|d| d.as_secs()))
            .collect();
        assert_eq!(delays, [Some(1), Some(2), Some(3), Some(3), None]);
        assert_eq!(policy.delay(1, None, 0.0), Some(Duration::from_millis(500)));
    }

    #[test]
    fn retry_after_is_honoured_up_to_its_limit() {
        let policy = RetryPolicy::default();
        let asked = |seconds| policy.delay(1, Some(Duration::from_secs(seconds)), 1.0);
        assert_eq!(asked(7), Some(Duration::from_secs(7)));
        assert_eq!(asked(300), Some(Duration::from_mins(5)));
        assert_eq!(asked(301), None);
        let cases = [
            (Some("7"), Some(7)),
            (Some(" 7 "), Some(7)),
            (Some("-1"), None),
            (Some("1e9"), None),
            (Some("Fri, 31 Dec 9999 23:59:59 GMT"), None),
            (None, None),
        ];
        for (header, seconds) in cases {
            assert_eq!(
                retry_after(header),
                seconds.map(Duration::from_secs),
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_policy_of_a_test_waits_for_nobody() {
        let policy = RetryPolicy::immediate(2);
        assert_eq!(
            policy.delay(1, Some(Duration::from_mins(1)), 1.0),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn jitter_stays_in_its_range() {
        assert!((0..100).map(|_| jitter()).all(|j| (0.0..=1.0).contains(&j)));
    }
}
