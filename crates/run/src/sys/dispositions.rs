//! Signal dispositions back to their defaults.
#![expect(unsafe_code, reason = "rustix has no safe interface to signal actions")]

/// Highest signal number of Linux on our platforms.
const LAST_SIGNAL: i32 = 64;

/// Size of the kernel's own signal set, which it wants to be told.
const SET_BYTES: usize = 8;

/// Sets every signal to its default action. Async-signal-safe.
///
/// Exec resets handlers but keeps "ignore": Rust's runtime ignores SIGPIPE, and a shell pipeline
/// started with that prints "broken pipe" where it should end silently.
pub(crate) fn reset() {
    // The kernel's `struct sigaction`, at most 32 bytes; all zero it means SIG_DFL, no flags.
    let action = [0_u64; 8];
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: reads from `action`, which is as large as the kernel's structure; SIG_DFL runs
        // no code of ours. SIGKILL and SIGSTOP answer with an error, which is as good.
        // JUSTIFICATION: the standard library resets SIGPIPE alone, and the C library's own
        // functions refuse two signals (32, 33) that whoever started us may have ignored.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                action.as_ptr(),
                std::ptr::null_mut::<u64>(),
                SET_BYTES,
            )
        };
    }
}
