//! What this process asks for itself: protection from the RUN beside it, small pages, and few that nobody uses.

use crate::Error;
use crate::sys::{allocator, huge_pages};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Makes this process not dumpable.
///
/// Another process, root included, then needs `CAP_SYS_PTRACE` (which a pod does not have) to
/// read our memory, environment, descriptors or to trace us; our own `/proc/self` stays readable
/// to us, since a process may always look at itself. It also means no core dump with credentials.
/// Call it early in `main`; an exec resets it, and a user namespace must be set up before it (the
/// kernel gives `/proc/self/uid_map` of such a process to root).
///
/// # Errors
/// `prctl(PR_SET_DUMPABLE)` failed, which the kernel does not do for this argument.
pub fn harden_self() -> Result<(), Error> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|errno| Error::Harden {
        source: errno.into(),
    })
}

/// Does without transparent huge pages: 2 MiB for every stack and heap that is touched once are most of what an idle builder costs.
///
/// Call it first in `main`, before any thread has a stack. What [`supervise`](crate::supervise), [`init`](crate::init) and
/// [`sandbox`](crate::sandbox) start has the setting that this process was started with. A kernel that has no such setting is left alone.
pub fn avoid_huge_pages() {
    huge_pages::avoid();
}

/// Gives memory that nobody uses back to the kernel at once, where mimalloc is the allocator.
///
/// It keeps such memory for seconds, because it may be wanted again. Here buffers are used again by their owners, and what remains is of use to the
/// RUN beside us: in a pod with a limit, memory that is kept is memory that a compiler does not have.
pub fn keep_no_spare_memory() {
    // Not 0: what is freed and wanted again within the same moment need not go to the kernel and back.
    allocator::purge_after(1);
}
