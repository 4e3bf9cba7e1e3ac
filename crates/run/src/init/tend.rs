//! Forwarding signals to one child and reaping all.

use super::FORWARDED;
use crate::Exit;
use crate::sys::signal_set::SignalSet;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use std::io;
use std::time::{Duration, Instant};

/// How the child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Exited(Exit),
    /// It did not end in time after this signal and was killed.
    Overdue {
        /// The first signal that asked it to end.
        signal: i32,
    },
}

/// All that is waited for; block it before the child is started.
pub(crate) fn signals() -> SignalSet {
    let mut signals = FORWARDED.to_vec();
    signals.push(Signal::CHILD);
    SignalSet::of(&signals)
}

/// Serves `child` until it ends. `patience` counts from the first SIGTERM, SIGINT or SIGHUP.
///
/// Every child of this process is reaped. The signals of [`signals`] must be blocked since before
/// `child` was started, and this process must have no other thread.
pub(crate) fn tend(child: Pid, patience: Duration) -> io::Result<Ended> {
    let set = signals();
    let mut due: Option<(i32, Instant)> = None;
    loop {
        if let Some(exit) = reap(child)? {
            return Ok(Ended::Exited(exit));
        }
        let left = due.map(|(_, deadline)| deadline.saturating_duration_since(Instant::now()));
        match (set.wait(left)?, due) {
            (Some(signal), _) => {
                forward(child, signal)?;
                let asks = [Signal::TERM, Signal::INT, Signal::HUP];
                if due.is_none() && asks.iter().any(|ask| ask.as_raw() == signal) {
                    due = Some((signal, Instant::now() + patience));
                }
            }
            (None, Some((signal, deadline))) if Instant::now() >= deadline => {
                kill(child, Signal::KILL)?;
                return Ok(Ended::Overdue { signal });
            }
            (None, _) => {}
        }
    }
}

fn forward(child: Pid, signal: i32) -> io::Result<()> {
    match FORWARDED.iter().find(|known| known.as_raw() == signal) {
        Some(signal) => kill(child, *signal),
        // SIGCHLD is for us.
        None => Ok(()),
    }
}

fn kill(child: Pid, signal: Signal) -> io::Result<()> {
    match kill_process(child, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Reaps everything that is dead; tells how `child` ended if it is among them.
fn reap(child: Pid) -> io::Result<Option<Exit>> {
    loop {
        match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            Ok(Some((pid, status))) if pid == child => match Exit::from_wait(status) {
                Some(exit) => return Ok(Some(exit)),
                // Stopped by a RUN: a build that stands still looks like one that works.
                None => kill(child, Signal::CONT)?,
            },
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            // Somebody else reaped it: cannot happen in a process of one thread.
            Err(errno) => return Err(errno.into()),
        }
    }
}
