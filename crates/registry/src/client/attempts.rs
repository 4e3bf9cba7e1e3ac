use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Instant;

use crate::{Error, Operation, RetryPolicy, retry};

/// The part of an operation that an attempt failed in. Each may fail as often as the policy says: where several requests have to go well
/// one after the other, one of them fails in most attempts at a registry that answers two of three.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) enum Part {
    /// Whatever comes first; all of an operation that has one request.
    #[default]
    Opening,
    /// The bytes of an upload.
    Sending,
    /// The end of an upload.
    Committing,
}

/// Attempts at one thing: how many there were, and what the log is told of them.
pub(crate) struct Attempts<'a> {
    policy: RetryPolicy,
    operation: &'a Operation,
    /// Since something moved, by the part that failed.
    made: BTreeMap<Part, u32>,
    /// In all.
    failed: u32,
    since: Instant,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(policy: RetryPolicy, operation: &'a Operation) -> Self {
        Self {
            policy,
            operation,
            made: BTreeMap::new(),
            failed: 0,
            since: Instant::now(),
        }
    }

    /// Something moved: what comes now is a new start.
    pub(super) fn begin_again(&mut self) {
        self.made.clear();
        self.since = Instant::now();
    }

    /// Waits before the next attempt; the error itself when there is none.
    pub(super) async fn pause(&mut self, error: Error) -> Result<(), Error> {
        self.pause_in(Part::default(), error).await
    }

    /// The same after an attempt that failed in this part.
    pub(super) async fn pause_in(&mut self, part: Part, error: Error) -> Result<(), Error> {
        let made = self.made.entry(part).or_default();
        *made += 1;
        let made = *made;
        self.failed += 1;
        let asked = error.answer().and_then(|answer| answer.retry_after);
        let spent = self.since.elapsed();
        let of = self.policy.attempts.max(1);
        match self.policy.delay(made, asked, spent, retry::jitter()) {
            Ok(delay) => {
                let seconds = delay.as_secs_f64();
                tracing::warn!(
                    "{}; attempt {made} of {of}, the next in {seconds:.1} s",
                    chain(&error)
                );
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Err(reason) => {
                if of > 1 {
                    tracing::warn!("{}: given up: {reason}", self.operation);
                }
                Err(error)
            }
        }
    }

    /// Tells how it ended, if there was anything to tell.
    pub(super) fn ended(&self, well: bool) {
        if self.failed > 0 && well {
            let failed = self.failed;
            tracing::info!("{}: done, after {failed} failed attempts", self.operation);
        }
    }
}

/// An error and its causes on one line.
pub(super) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some wrappers say what they wrap.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
