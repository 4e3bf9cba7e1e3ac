//! Whether the kernel may give this process pages of 2 MiB where it asked for 4 KiB.
#![expect(unsafe_code, reason = "rustix does not wrap this prctl")]

use std::sync::atomic::{AtomicI32, Ordering};

/// An argument that is not used, in the width that the kernel looks at.
const NOTHING: libc::c_long = 0;

/// What we were started with; as [`current`] says it. Negative: not asked yet.
static GIVEN: AtomicI32 = AtomicI32::new(-1);

/// Turns huge pages off for this process, and remembers how it was.
pub(crate) fn avoid() {
    let given = current();
    if given >= 0 {
        // Only the first time: later it is our own setting that we see.
        let _asked = GIVEN.compare_exchange(-1, given, Ordering::SeqCst, Ordering::SeqCst);
        set(1, 0);
    }
}

/// Turns them back to how they were. Async-signal-safe.
pub(crate) fn give_back() {
    let given = GIVEN.load(Ordering::SeqCst);
    if given >= 0 {
        // KERNEL(6.18): the flags of the setting are told beside it.
        set(given & 1, given & !1);
    }
}

fn current() -> libc::c_int {
    // SAFETY: the call takes numbers only and writes no memory.
    // JUSTIFICATION: the setting is inherited by every RUN, so it must be known to be given back.
    unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, NOTHING, NOTHING, NOTHING, NOTHING) }
}

fn set(disable: libc::c_int, flags: libc::c_int) {
    let (disable, flags) = (libc::c_long::from(disable), libc::c_long::from(flags));
    // SAFETY: as above.
    // JUSTIFICATION: two idle processes cost several MiB of memory that nobody uses without it. A kernel that refuses changes nothing else.
    let _ = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, disable, flags, NOTHING, NOTHING) };
}
