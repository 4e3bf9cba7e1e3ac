//! Whether an entry is believed: a function of its bytes, of what is wanted and of the user's rules. supply-chain.md § 4.3.

use kigumi_oci::{Descriptor, Digest};
use kigumi_plan::{CacheKey, Framed};

use super::again::Again;
use super::entry::{self, Entry, LAYER};
use super::error::CacheError;
use super::keys::{SignKey, VerifyKey};
use super::record::{self, ConfigDelta, Empty, Record, RecordLayer, StoredLayer, Time, VERSION};
use super::{CachedLayer, NewEntry, Reason, Wanted, Written};
use crate::cli::{BUILD_ID, CacheSettings, Trust};
use crate::secrets::Redactor;

/// The user's rules.
#[derive(Debug)]
pub(super) struct Rules {
    trust: Trust,
    domain: String,
    signer: Option<SignKey>,
    verifiers: Vec<VerifyKey>,
    ttl: i64,
    not_before: Option<i64>,
    now: i64,
}

/// What a record says that is believed.
#[derive(Debug)]
pub(super) struct Believed {
    pub(super) layer: Option<CachedLayer>,
    pub(super) lineage: Vec<Digest>,
    pub(super) written: Written,
}

/// Whether entries of a tag are signed: it is part of the tag (rule 2), so that nobody finds one where the other should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signing {
    Signed,
    Unsigned,
}

impl Rules {
    /// Reads the keys.
    pub(super) fn new(
        settings: &CacheSettings,
        redactor: &Redactor,
        now: i64,
    ) -> Result<Self, CacheError> {
        let signer = settings.sign_key.as_ref();
        let signer = signer
            .map(|path| SignKey::read(path, redactor))
            .transpose()?;
        let verifiers = settings.verify_keys.iter();
        let mut verifiers: Vec<_> = verifiers
            .map(|path| VerifyKey::read(path))
            .collect::<Result<_, _>>()?;
        // Who signs believes himself.
        verifiers.extend(signer.as_ref().map(SignKey::verify_key));
        Ok(Self {
            trust: settings.trust,
            domain: settings.domain.clone(),
            signer,
            verifiers,
            ttl: i64::try_from(settings.ttl.as_secs()).unwrap_or(i64::MAX),
            not_before: settings.not_before,
            now,
        })
    }

    /// The tags to look at, in this order.
    pub(super) fn signings(&self) -> &'static [Signing] {
        match self.trust {
            Trust::Require => &[Signing::Signed],
            Trust::Prefer => &[Signing::Signed, Signing::Unsigned],
            Trust::Off => &[Signing::Unsigned],
        }
    }

    /// How new entries are written.
    pub(super) fn signing(&self) -> Signing {
        match self.signer {
            Some(_) => Signing::Signed,
            None => Signing::Unsigned,
        }
    }

    pub(super) fn signer(&self) -> Option<&SignKey> {
        self.signer.as_ref()
    }

    /// The tag of a key: injective in the domain, the signing and the key.
    pub(super) fn tag(&self, subject: &str, key: &CacheKey, signing: Signing) -> String {
        let signing = match signing {
            Signing::Signed => "signed",
            Signing::Unsigned => "unsigned",
        };
        let framed = Framed::new(subject).text(&self.domain).tag(signing);
        framed.key(key).finish().to_string()
    }

    /// What a new entry says.
    pub(super) fn record(&self, new: &NewEntry) -> Record {
        let layer = new.layer.as_ref().map(|(layer, _)| layer);
        let times = (Time(self.now), self.not_after());
        self.record_of(&new.wanted, &new.lineage, layer, times)
    }

    /// What an entry says that was written before, under another key.
    pub(super) fn record_again(&self, again: &Again, written: Written) -> Record {
        let times = (Time(written.created), Time(written.not_after));
        self.record_of(&again.wanted, &again.lineage, Some(&again.layer), times)
    }

    fn record_of(
        &self,
        wanted: &Wanted,
        lineage: &[Digest],
        layer: Option<&CachedLayer>,
        (created, not_after): (Time, Time),
    ) -> Record {
        Record {
            v: VERSION,
            domain: self.domain.clone(),
            key: wanted.key.to_string(),
            instruction_digest: wanted.instruction,
            base_digest: wanted.base,
            lineage: lineage.to_vec(),
            layer: match layer {
                None => RecordLayer::Empty(Empty::Empty),
                Some(layer) => RecordLayer::Stored(StoredLayer::from(layer)),
            },
            config_delta: ConfigDelta::default(),
            created,
            not_after,
            builder: BUILD_ID.to_owned(),
            guard: None,
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.now
    }

    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    /// The end of what is written now; far away rather than in a year that RFC 3339 cannot write.
    pub(super) fn not_after(&self) -> Time {
        const LAST: i64 = 253_402_300_799;
        Time(self.now.saturating_add(self.ttl).min(LAST))
    }

    /// Believes a record of one of our keys, or of nobody's where that is allowed.
    pub(super) fn check_signature(
        &self,
        kind: entry::Kind,
        entry: &Entry,
        record: &[u8],
        signing: Signing,
    ) -> Result<(), Reason> {
        match signing {
            Signing::Signed => entry.check_signature(kind, record, &self.verifiers),
            Signing::Unsigned => Ok(()),
        }
    }

    /// Whether something of these times is still of use (rule 4).
    pub(super) fn check_age(&self, created: Time, not_after: Time) -> Result<(), Reason> {
        let is_old = created.0.saturating_add(self.ttl) < self.now || not_after.0 < self.now;
        let is_revoked = self.not_before.is_some_and(|time| created.0 < time);
        if is_old || is_revoked {
            return Err(Reason::Expired);
        }
        Ok(())
    }

    /// What an entry gives for what is wanted. The signature comes first: nothing is read of what nobody signed.
    pub(super) fn judge(
        &self,
        wanted: &Wanted,
        (entry, record): (&Entry, &[u8]),
        signing: Signing,
    ) -> Result<Believed, Reason> {
        self.check_signature(LAYER, entry, record, signing)?;
        let is_as_ours = self.writes_as(entry, record, signing);
        let record: Record = record::parse(record)?;
        let is = |right: bool, reason| if right { Ok(()) } else { Err(reason) };
        is(record.v == VERSION, Reason::Record)?;
        is(record.domain == self.domain, Reason::Domain)?;
        is(record.key == wanted.key.to_string(), Reason::Key)?;
        is(
            record.instruction_digest == wanted.instruction,
            Reason::Instruction,
        )?;
        is(record.base_digest == wanted.base, Reason::Base)?;
        is(record.guard.is_none_or(|guard| guard.ok), Reason::Record)?;
        let layer = match &record.layer {
            RecordLayer::Empty(Empty::Empty) => None,
            RecordLayer::Stored(layer) => Some(CachedLayer::from(layer)),
        };
        entry.check_layers(&descriptors(layer.as_ref()))?;
        self.check_age(record.created, record.not_after)?;
        Ok(Believed {
            layer,
            lineage: record.lineage,
            written: Written {
                created: record.created.0,
                not_after: record.not_after.0,
                is_as_ours,
            },
        })
    }

    /// Whether what is believed is signed as it would be signed here.
    fn writes_as(&self, entry: &Entry, record: &[u8], signing: Signing) -> bool {
        match (signing, &self.signer) {
            (Signing::Signed, Some(key)) => {
                let own = [key.verify_key()];
                entry.check_signature(LAYER, record, &own).is_ok()
            }
            (Signing::Unsigned, None) => true,
            (Signing::Signed, None) | (Signing::Unsigned, Some(_)) => false,
        }
    }
}

/// The blobs of an entry.
pub(super) fn descriptors(layer: Option<&CachedLayer>) -> Vec<Descriptor> {
    match layer {
        Some(layer) => vec![layer.descriptor()],
        None => entry::no_layers(),
    }
}
