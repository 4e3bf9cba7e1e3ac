//! A flag that another thread raises to end what runs here.

use crate::Error;
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Asks a running process to end: cloneable, raised once, never lowered.
#[derive(Debug, Clone)]
pub struct Cancel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// 0, or the signal that was the reason.
    signal: AtomicI32,
    /// Readable from the moment of cancellation on; never read, so that every waiter sees it.
    event: OwnedFd,
    grace: Duration,
}

impl Cancel {
    /// How long a process may take to end after SIGTERM. GitLab's runner waits about 6 s per
    /// process on cancel; longer and it kills us before we have cleaned up.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

    /// A flag not yet raised. `grace` is the time between SIGTERM and SIGKILL for a process that
    /// runs when it is.
    ///
    /// # Errors
    /// No descriptor left for the event.
    pub fn new(grace: Duration) -> Result<Self, Error> {
        let event =
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| {
                Error::Prepare {
                    what: "a cancel event",
                    source: errno.into(),
                }
            })?;
        let shared = Shared {
            signal: AtomicI32::new(0),
            event,
            grace,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Raises the flag, because of `signal`. The first reason stays.
    pub fn cancel(&self, signal: i32) {
        let signal = signal.max(1);
        let cell = &self.shared.signal;
        if cell
            .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
            && let Err(error) = rustix::io::write(&self.shared.event, &1_u64.to_ne_bytes())
        {
            // An eventfd refuses only when its counter is full, that is readable already.
            tracing::debug!(%error, "cancel event");
        }
    }

    /// The signal that was the reason, once cancelled.
    pub fn signal(&self) -> Option<i32> {
        Some(self.shared.signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.signal().is_some()
    }

    /// The time between SIGTERM and SIGKILL.
    pub fn grace(&self) -> Duration {
        self.shared.grace
    }
}

/// Readable once cancelled: for a poll loop elsewhere. Do not read from it.
impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_and_every_clone_sees_it() {
        let cancel = Cancel::new(Duration::ZERO).unwrap();
        let other = cancel.clone();
        assert!(!other.is_cancelled());
        cancel.cancel(15);
        cancel.cancel(2);
        assert_eq!(other.signal(), Some(15));
    }
}
