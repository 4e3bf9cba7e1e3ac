//! New namespaces for this process.
#![expect(
    unsafe_code,
    reason = "rustix marks unshare unsafe for the sake of descriptor tables"
)]

use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Leaves the namespaces named by `flags` for new ones. Refuses anything but namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    let namespaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWUSER;
    if !namespaces.contains(flags) {
        return Err(Errno::INVAL);
    }
    // SAFETY: the danger is a descriptor table no longer shared between threads (CLONE_FILES),
    // which is excluded above.
    // JUSTIFICATION: a sandbox is made of namespaces.
    unsafe { unshare_unsafe(flags) }
}
