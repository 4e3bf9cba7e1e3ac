//! Why an entry is not used.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Why an entry is not used (supply-chain.md § 4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    /// What is at the tag is no cache entry.
    Type,
    /// Its record is too large, not there, or not of the one form that a record has.
    Record,
    /// It must be signed and is not.
    Unsigned,
    /// No signature of a key that is trusted fits.
    Signature,
    /// It is of another trust domain.
    Domain,
    /// It is of another key.
    Key,
    /// It is of another instruction.
    Instruction,
    /// It is of another state before the instruction.
    Base,
    /// Its manifest names other layers than its record.
    Descriptor,
    /// It is too old.
    Expired,
    /// The bytes of its layer are not those of the record.
    Digest,
    /// The content of its layer is not that of the record.
    DiffId,
    /// What it holds is no outline of a layer.
    Outline,
    /// Whoever keeps it does not give it.
    Unreachable,
}

impl Reason {
    /// The label under which it is counted.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Record => "record",
            Self::Unsigned => "unsigned",
            Self::Signature => "signature",
            Self::Domain => "domain",
            Self::Key => "key",
            Self::Instruction => "instruction",
            Self::Base => "base",
            Self::Descriptor => "descriptor",
            Self::Expired => "expired",
            Self::Digest => "digest",
            Self::DiffId => "diffid",
            Self::Outline => "outline",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether somebody has written what no builder writes, or changed it. Time and networks forge nothing.
    pub(crate) const fn is_tampering(self) -> bool {
        !matches!(self, Self::Expired | Self::Unreachable)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "it is no cache entry",
            Self::Record => "its record is malformed",
            Self::Unsigned => "it is not signed",
            Self::Signature => "no signature of a trusted key fits",
            Self::Domain => "it is of another trust domain",
            Self::Key => "it is the entry of another key",
            Self::Instruction => "it is of another instruction",
            Self::Base => "it is of another base",
            Self::Descriptor => "its manifest contradicts its record",
            Self::Expired => "it is too old",
            Self::Digest => "the bytes of its layer have another digest",
            Self::DiffId => "its layer has another content",
            Self::Outline => "what it says of the layer makes no sense",
            Self::Unreachable => "it cannot be fetched",
        })
    }
}

/// How often entries were not used, by reason.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<Reason, u64>>);

impl Counts {
    pub(super) fn add(&self, reason: Reason) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(reason).or_default() += 1;
    }

    pub(super) fn all(&self) -> BTreeMap<Reason, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
