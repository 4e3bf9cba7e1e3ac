//! Attributes of a whole tree of mounts.
#![expect(unsafe_code, reason = "rustix has no mount_setattr")]

use rustix::mount::MountAttrFlags;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Adds attributes to the mount `tree` and all mounts below it. KERNEL(5.12).
pub(crate) fn add(tree: impl AsFd, attributes: MountAttrFlags) -> io::Result<()> {
    let attributes = MountAttributes {
        set: attributes.bits().into(),
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    // SAFETY: the path is a NUL-terminated constant; the structure is the kernel's first version,
    // outlives the call and its size is passed with it.
    // JUSTIFICATION: a remount sets the attributes of one mount only, and only after it can be
    // reached: what lies mounted below a read-only bind would be writable.
    let code = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
