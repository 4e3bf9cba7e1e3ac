//! What root may do.

use rustix::thread::{CapabilitySet, capabilities, capability_is_in_bounding_set};

/// The default of containerd and Docker (`CapBnd: 00000000a80425fb`).
pub(crate) const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Bits of a capability set.
const BITS: u32 = 64;

/// What a process of ours must give up to have no more than [`DEFAULT`]: what is in our bounding
/// set and not in the default. `None` when there is nothing, or when this process may not give
/// anything up (it lacks `CAP_SETPCAP`: then it is no container's root, or one with less than the
/// default).
pub(crate) fn to_drop() -> Option<Vec<CapabilitySet>> {
    let effective = capabilities(None).ok()?.effective;
    if !effective.contains(CapabilitySet::SETPCAP) {
        return None;
    }
    let more: Vec<CapabilitySet> = (0..BITS)
        .map(|bit| CapabilitySet::from_bits_retain(1 << bit))
        .filter(|capability| !DEFAULT.contains(*capability))
        // An error is the end of what this kernel knows.
        .filter(|capability| capability_is_in_bounding_set(*capability).unwrap_or(false))
        .collect();
    (!more.is_empty()).then_some(more)
}

/// The names of capabilities, in the order of their numbers. capabilities(7).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The effective capabilities in the text of `/proc/self/status`. proc(5).
pub fn parse_effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(line?.trim(), 16).ok()
}

/// The names of the capabilities up to the kernel's `last` that are not in `effective`.
pub fn missing_capabilities(effective: u64, last: u32) -> Vec<String> {
    (0..=last.min(BITS - 1))
        .filter(|bit| effective & (1 << bit) == 0)
        .map(|bit| {
            let name = usize::try_from(bit).ok().and_then(|bit| NAMES.get(bit));
            name.map_or_else(|| format!("capability {bit}"), |name| format!("CAP_{name}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_containerds_set_of_14_t_run_04() {
        assert_eq!(DEFAULT.bits(), 0xa804_25fb);
        assert_eq!(DEFAULT.bits().count_ones(), 14);
    }

    #[test]
    fn the_effective_set_is_read_from_the_status_of_a_process() {
        let status = "CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nCapBnd:\t0\n";
        assert_eq!(parse_effective(status), Some(0xa804_25fb));
        assert_eq!(parse_effective("Name:\tx\n"), None);
        assert_eq!(parse_effective("CapEff:\tz\n"), None);
    }

    #[test]
    fn what_is_missing_is_named_up_to_the_last_that_the_kernel_knows() {
        assert!(missing_capabilities(0x1ff_ffff_ffff, 40).is_empty());
        assert_eq!(missing_capabilities(0x1ff_ffdf_ffff, 40), ["CAP_SYS_ADMIN"]);
        assert_eq!(missing_capabilities(0x1ff_ffff_ffff, 41), ["capability 41"]);
        assert_eq!(missing_capabilities(0xa804_25fb, 40).len(), 41 - 14);
    }
}
