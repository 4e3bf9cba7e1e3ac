//! A filter on the system calls of this process and all it starts.
#![expect(unsafe_code, reason = "neither rustix nor libc wraps seccomp")]

use libc::{sock_filter, sock_fprog};
use rustix::io::Errno;
use std::io;

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
    Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}
