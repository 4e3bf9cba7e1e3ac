//! Blocking signals and waiting for blocked ones.
#![expect(unsafe_code, reason = "rustix has no safe interface to signal masks")]

use rustix::process::Signal;
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// A set of signals.
#[derive(Clone, Copy)]
pub(crate) struct SignalSet(libc::sigset_t);

/// Restores the calling thread's signal mask when dropped.
pub(crate) struct Blocked(libc::sigset_t);

impl SignalSet {
    pub(crate) fn empty() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the pointer is to a sigset_t, which the call fills wholly.
        // JUSTIFICATION: a sigset_t has no other constructor.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised by the call above, which cannot fail for a valid pointer.
        // JUSTIFICATION: as above.
        Self(unsafe { set.assume_init() })
    }

    pub(crate) fn all() -> Self {
        let mut set = Self::empty();
        // SAFETY: the pointer is to an initialised sigset_t.
        // JUSTIFICATION: as for `empty`.
        unsafe { libc::sigfillset(&raw mut set.0) };
        set
    }

    pub(crate) fn of(signals: &[Signal]) -> Self {
        let mut set = Self::empty();
        for signal in signals {
            // SAFETY: the pointer is to an initialised sigset_t.
            // JUSTIFICATION: as for `empty`.
            unsafe { libc::sigaddset(&raw mut set.0, signal.as_raw()) };
        }
        set
    }

    /// Blocks these signals, in addition, for the calling thread (and those it starts) until the
    /// guard is dropped.
    pub(crate) fn block(&self) -> io::Result<Blocked> {
        let mut old = Self::empty();
        // SAFETY: both pointers are to initialised sets that outlive the call.
        // JUSTIFICATION: signals must not run handlers between fork and exec, and are received by
        // waiting, for which they must be blocked.
        let code =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const self.0, &raw mut old.0) };
        match code {
            0 => Ok(Blocked(old.0)),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// Makes this the calling thread's mask. Async-signal-safe.
    pub(crate) fn replace_mask(&self) {
        // SAFETY: the set outlives the call; a null old-set pointer is allowed.
        // JUSTIFICATION: a program must start with an empty mask.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut());
        }
    }

    /// Waits for one of these signals, which must be blocked. `None`: none within `timeout`.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Option<i32>> {
        let limit = timeout.map(|time| libc::timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: set and time outlive the call; null is allowed for the information and the time.
        // JUSTIFICATION: the one way to receive a signal without an asynchronous handler.
        let signal = unsafe { libc::sigtimedwait(&raw const self.0, std::ptr::null_mut(), limit) };
        if signal > 0 {
            return Ok(Some(signal));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => Ok(None),
            _ => Err(error),
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        SignalSet(self.0).replace_mask();
    }
}

impl std::fmt::Debug for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blocked")
    }
}
