//! Signals as values: SIGTERM, SIGINT and SIGHUP raise a [`Cancel`].

use crate::sys::signal_set::{Blocked, SignalSet};
use crate::{Cancel, Error};
use rustix::process::Signal;
use std::io;

/// What ends a build.
const ENDING: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::HUP];

/// Proof that the ending signals are blocked, so that from now on they wait to be received.
///
/// The block is inherited by every thread started later: make this first in `main`.
#[derive(Debug)]
pub struct Guard {
    blocked: Blocked,
}

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread and those it starts.
///
/// # Errors
/// The kernel refused, which it does not for these signals.
pub fn block() -> Result<Guard, Error> {
    let set = SignalSet::of(&ENDING);
    let blocked = set.block().map_err(|source| Error::Signals { source })?;
    Ok(Guard { blocked })
}

impl Guard {
    /// Starts the thread that raises `cancel` with the number of each such signal. It lives as
    /// long as the process.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn forward_to(self, cancel: Cancel) -> Result<(), Error> {
        let receive = move || {
            loop {
                match SignalSet::of(&ENDING).wait(None) {
                    Ok(Some(signal)) => cancel.cancel(signal),
                    Ok(None) => {}
                    Err(error) => return tracing::error!(%error, "receive signals"),
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(receive);
        thread.map_err(|source: io::Error| Error::Signals { source })?;
        // Unblocked again the signals would kill us.
        std::mem::forget(self.blocked);
        Ok(())
    }
}

/// The exit code of a build that this signal ended: 143 for SIGTERM (contract K-EXIT-06).
pub fn exit_code_for(signal: i32) -> u8 {
    u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigterm_is_143_and_sigint_130() {
        assert_eq!((exit_code_for(15), exit_code_for(2)), (143, 130));
        assert_eq!(exit_code_for(i32::MAX), 255);
    }
}
