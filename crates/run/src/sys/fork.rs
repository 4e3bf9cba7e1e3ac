//! A new process that goes on with our code.
#![expect(unsafe_code, reason = "fork has no safe interface")]

use rustix::process::Pid;
use std::io;

/// Runs `child` in a new process, which ends with the code that it returns.
///
/// Only while this process has one thread: in a copy of a process with several, a lock that
/// another thread held stays locked for ever. Refuses with `EDEADLK` otherwise.
pub(crate) fn fork_single_threaded(child: impl FnOnce() -> i32) -> io::Result<Pid> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    // SAFETY: no other thread exists (checked above, and only this one could start one), so the
    // copy is an ordinary process in a consistent state.
    // JUSTIFICATION: namespaces are set up by code of ours between fork and exec, more than
    // `Command` can express.
    match unsafe { libc::fork() } {
        0 => {
            let code = child();
            exit_now(code)
        }
        raw => match Pid::from_raw(raw) {
            Some(pid) if raw > 0 => Ok(pid),
            _ => Err(io::Error::last_os_error()),
        },
    }
}

/// Ends this process at once: no destructors, no buffers flushed, which belong to the parent.
/// Async-signal-safe.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` is async-signal-safe and does not return.
    // JUSTIFICATION: `std::process::exit` would run the parent's exit handlers a second time.
    unsafe { libc::_exit(code) }
}
