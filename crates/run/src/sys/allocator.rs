//! How long the allocator keeps memory that nobody uses.
#![expect(unsafe_code, reason = "mimalloc's options have no safe wrapper")]

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// `mi_option_purge_delay` of mimalloc.h, which the bindings do not name: milliseconds until free pages go back to the kernel. 1000 unless said otherwise.
const PURGE_DELAY: mi_option_t = 15;

/// Lets free pages go back after so many milliseconds.
pub(crate) fn purge_after(milliseconds: libc::c_long) {
    // SAFETY: the call takes numbers only, and sets an option of the table that it has a bound check for.
    // JUSTIFICATION: the only other way is a variable of the environment, which every RUN would have to be kept from.
    unsafe { mi_option_set(PURGE_DELAY, milliseconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_delay_and_is_set() {
        let get = || {
            // SAFETY: as above.
            // JUSTIFICATION: nothing else tells that the number is still that of this option.
            unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }
        };
        assert_eq!(get(), 1000, "no other option has this default");
        purge_after(1);
        assert_eq!(get(), 1);
    }
}
