//! No descriptor of ours reaches another program.
#![expect(unsafe_code, reason = "rustix has no close_range")]

use rustix::io::{FdFlags, fcntl_setfd};
use std::os::fd::BorrowedFd;

/// First descriptor after the three standard ones.
const FIRST: i32 = 3;

/// Where the search ends on a kernel without `close_range`: all that a Rust program opens is
/// close-on-exec anyway, so this catches what the process that started us left open.
const FALLBACK_LIMIT: i32 = 4096;

/// Marks every descriptor from 3 on close-on-exec. Async-signal-safe.
pub(crate) fn close_on_exec_from_3() {
    // SAFETY: changes flags of descriptors, closes none.
    // JUSTIFICATION: a daemon that started us may have left descriptors open without
    // close-on-exec; rustix does not wrap the call, libc not on every target.
    let code = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if code == 0 {
        return;
    }
    // KERNEL(5.11): CLOSE_RANGE_CLOEXEC.
    for number in FIRST..FALLBACK_LIMIT {
        // SAFETY: used for one fcntl; where no such descriptor is open it answers EBADF.
        // JUSTIFICATION: the numbers are not ours, so nothing owns them that could be borrowed.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
    }
}
