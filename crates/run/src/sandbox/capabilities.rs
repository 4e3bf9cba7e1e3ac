//! What root may do inside.

use crate::confine::DEFAULT;
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Bits of a capability set.
const BITS: u32 = 64;

/// Gives up for good, for this process and all it starts, every capability outside [`DEFAULT`].
pub(super) fn reduce() -> Result<(), Errno> {
    for bit in 0..BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if DEFAULT.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // This kernel has no more.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    clear_ambient_capability_set()?;
    let kept = capabilities(None)?.permitted & DEFAULT;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)
}
