use crate::{Error, Exclusions, WritableRoot};

/// What a wipe did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Wiped {
    /// How many entries are gone.
    pub removed: u64,
    /// How many were left, because they are excluded or hold what is.
    pub kept: u64,
}

/// Empties the root. Mounts, what is protected, and the directories above both stay.
///
/// Reads the mounts anew first (`exclusions.refresh()`).
///
/// # Errors
/// [`Error`] with the file that could not be removed.
pub fn wipe(_root: &WritableRoot, _exclusions: &mut Exclusions) -> Result<Wiped, Error> {
    todo!()
}
