//! What protects the executor from the RUN beside it.

use crate::Error;
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
