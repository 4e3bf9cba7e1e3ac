//! Which session and which process group a process is in.
#![expect(
    unsafe_code,
    reason = "rustix takes the number 0, which the kernel gives for a leader outside our PID namespace, for impossible, and panics"
)]

use rustix::io::Errno;
use rustix::process::Pid;

/// The session of `process`, or ours. 0 if its leader is outside our PID namespace, as in a
/// container that was started from another's session.
pub(crate) fn session_of(process: Option<Pid>) -> Result<i32, Errno> {
    // SAFETY: getsid takes a number and touches no memory.
    // JUSTIFICATION: see the head of the file.
    let number = unsafe { libc::getsid(number_of(process)) };
    checked(number)
}

/// The process group of `process`, or ours. 0 if its leader is outside our PID namespace.
pub(crate) fn group_of(process: Option<Pid>) -> Result<i32, Errno> {
    // SAFETY: getpgid takes a number and touches no memory.
    // JUSTIFICATION: see the head of the file.
    let number = unsafe { libc::getpgid(number_of(process)) };
    checked(number)
}

fn number_of(process: Option<Pid>) -> i32 {
    process.map_or(0, |pid| pid.as_raw_nonzero().get())
}

fn checked(number: i32) -> Result<i32, Errno> {
    if number >= 0 {
        return Ok(number);
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::SRCH))
}
