//! A filter on the system calls of this process and all it starts.
#![expect(unsafe_code, reason = "neither rustix nor libc wraps seccomp")]

use libc::{sock_filter, sock_fprog};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Puts a filter in force for this thread, for good, whose answer may be "ask the listener", and gives the listener. Not for use between fork
/// and exec.
pub(crate) fn install_with_listener(filter: &[sock_filter]) -> Result<OwnedFd, Errno> {
    rustix::thread::set_no_new_privs(true)?;
    let patient =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    match set_listening(filter, patient) {
        // KERNEL(5.19): WAIT_KILLABLE_RECV.
        Err(Errno::INVAL) => set_listening(filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER),
        other => other,
    }
}

fn set_listening(filter: &[sock_filter], flags: libc::c_ulong) -> Result<OwnedFd, Errno> {
    let program = sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_too_long| Errno::INVAL)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: as in `set_filter`.
    // JUSTIFICATION: a read-only mount in a container without mount rights has no other way.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    let Ok(number) = i32::try_from(answer) else {
        return Err(Errno::IO);
    };
    if number < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just made this descriptor, for us alone.
    // JUSTIFICATION: it comes as a number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    id: u64,
    /// The thread that calls.
    pub(crate) thread: u32,
    pub(crate) number: i32,
    pub(crate) arguments: [u64; 6],
}

/// What a listener says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The kernel does what was asked for.
    GoOn,
    /// The call fails.
    Fail(Errno),
}

/// The next question; waits for one.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> Result<Question, Errno> {
    // SAFETY: all fields are integers, for which zero is a value.
    // JUSTIFICATION: the kernel wants zeros to begin with.
    let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one structure of this type.
    // JUSTIFICATION: there is no wrapper.
    let code = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut raw) };
    if code != 0 {
        return Err(last_errno());
    }
    Ok(Question {
        id: raw.id,
        thread: raw.pid,
        number: raw.data.nr,
        arguments: raw.data.args,
    })
}

/// Whether whoever asked is still waiting: only then is what was read of it its own.
pub(crate) fn is_waiting(listener: BorrowedFd<'_>, question: Question) -> bool {
    // SAFETY: the kernel reads one number.
    // JUSTIFICATION: there is no wrapper.
    unsafe { libc::ioctl(listener.as_raw_fd(), IS_VALID, &raw const question.id) == 0 }
}

/// Answers. That nobody waits any more is no error.
pub(crate) fn reply(
    listener: BorrowedFd<'_>,
    question: Question,
    answer: Answer,
) -> Result<(), Errno> {
    let (error, flags) = match answer {
        Answer::GoOn => (0, GO_ON),
        Answer::Fail(errno) => (-errno.raw_os_error(), 0),
    };
    let raw = libc::seccomp_notif_resp {
        id: question.id,
        val: 0,
        error,
        flags,
    };
    // SAFETY: the kernel reads one structure of this type.
    // JUSTIFICATION: there is no wrapper.
    let code = unsafe { libc::ioctl(listener.as_raw_fd(), REPLY, &raw const raw) };
    if code == 0 {
        return Ok(());
    }
    match last_errno() {
        Errno::NOENT => Ok(()),
        errno => Err(errno),
    }
}

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`. KERNEL(5.5).
const GO_ON: u32 = 1;

/// `_IOWR('!', 0, struct seccomp_notif)`, `_IOWR('!', 1, struct seccomp_notif_resp)`, `_IOW('!', 2, __u64)` of linux/seccomp.h, with the encoding that all
/// our architectures share.
const RECEIVE: libc::Ioctl = encoded(3, 0, size_of::<libc::seccomp_notif>());
const REPLY: libc::Ioctl = encoded(3, 1, size_of::<libc::seccomp_notif_resp>());
const IS_VALID: libc::Ioctl = encoded(1, 2, size_of::<u64>());

#[expect(
    clippy::cast_possible_truncation,
    reason = "small numbers, in a constant; the type differs between C libraries"
)]
const fn encoded(direction: u32, number: u32, size: usize) -> libc::Ioctl {
    (direction << 30 | (size as u32) << 16 | 0x21 << 8 | number) as libc::Ioctl
}

/// Copies memory of another process up to the end of a page, where it may end. Gives how much was copied.
pub(crate) fn read_memory(process: u32, address: u64, into: &mut [u8]) -> Result<usize, Errno> {
    const PAGE: u64 = 4096;
    let left = PAGE - address % PAGE;
    let length = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    let here = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: length,
    };
    let there = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(
            usize::try_from(address).map_err(|_odd| Errno::FAULT)?,
        ),
        iov_len: length,
    };
    let process = libc::pid_t::try_from(process).map_err(|_odd| Errno::SRCH)?;
    // SAFETY: the kernel writes at most `length` bytes to `into`, which has as many; the other address is looked up in the other process.
    // JUSTIFICATION: the path that a call names is in its memory.
    let count =
        unsafe { libc::process_vm_readv(process, &raw const here, 1, &raw const there, 1, 0) };
    usize::try_from(count).map_err(|_negative| last_errno())
}

/// Puts a filter in force for this thread, for good. Async-signal-safe.
///
/// Without `CAP_SYS_ADMIN` the kernel wants `no_new_privs` first: otherwise a set-user-id program
/// could be fooled by calls that fail.
pub(crate) fn install(filter: &[sock_filter]) -> Result<(), Errno> {
    match set_filter(filter) {
        Err(Errno::ACCESS) => {
            rustix::thread::set_no_new_privs(true)?;
            set_filter(filter)
        }
        other => other,
    }
}

fn set_filter(filter: &[sock_filter]) -> Result<(), Errno> {
    let program = sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_too_long| Errno::INVAL)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies `len` instructions from `filter` and writes to neither; both
    // outlive the call.
    // JUSTIFICATION: a RUN without network has no other way in a container without rights.
    let code = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    if code == 0 {
        return Ok(());
    }
    Err(last_errno())
}
