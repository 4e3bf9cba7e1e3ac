//! Directories of `RUN --mount=type=cache` that outlive the pod: an entry each, with as many layers as it took to make them. They are signed,
//! told apart and believed like layers of steps, as another kind.

use std::path::Path;
use std::sync::Arc;

use kigumi_oci::Descriptor;
use kigumi_plan::{CacheKey, Framed};
use kigumi_registry::{Client, Spool};
use serde::{Deserialize, Serialize};

use super::backend::Blob;
use super::entry::{self, EMPTY, Entry, Kind};
use super::judge::{Rules, Signing};
use super::record::{self, StoredLayer, Time, VERSION};
use super::shared::{Miss, Shared};
use super::{BlobPlace, CachedLayer, Reason};
use crate::cli::{BUILD_ID, CacheSettings, Tamper};
use crate::error::BuildError;
use crate::report::Events;

/// The directory of a cache mount.
const MOUNT: Kind = Kind {
    media_type: "application/vnd.kigumi.cache-mount.v1+json",
    signed_as: "KXMOUNT1",
};
/// What the tag of an entry is made of, besides its key.
const SUBJECT: &str = "cache entry of a mount";

/// What the directory itself is like: no layer says that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Top {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What an entry says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    v: u32,
    domain: String,
    /// Which cache, by the digest of all that makes it another one.
    cache: String,
    top: Top,
    layers: Vec<StoredLayer>,
    created: Time,
    not_after: Time,
    builder: String,
}

/// A directory that is kept.
#[derive(Debug, Clone)]
pub(crate) struct KeptMount {
    pub(crate) top: Top,
    /// The first one first.
    pub(crate) layers: Vec<CachedLayer>,
    source: BlobPlace,
    created: i64,
}

/// Where directories are kept.
#[derive(Debug)]
pub(crate) struct MountCache {
    shared: Arc<Shared>,
    tamper: Tamper,
    writes: bool,
    /// In seconds.
    ttl: u64,
}

impl MountCache {
    /// Reads the keys; asks nobody yet. Of several places it is the first: what is added to a directory goes to where the rest of it is.
    ///
    /// # Errors
    /// A key file that cannot be read or is none.
    pub(crate) fn open(
        settings: &CacheSettings,
        client: Client,
        events: Events,
        now: i64,
    ) -> Result<Self, BuildError> {
        let shared = Shared::open(&settings.place, settings, client, events, now)?;
        Ok(Self {
            shared: Arc::new(shared),
            tamper: settings.tamper,
            writes: settings.writes,
            ttl: settings.ttl.as_secs(),
        })
    }

    /// Whether anything is kept.
    pub(crate) const fn writes(&self) -> bool {
        self.writes
    }

    /// Whether what was kept then would soon be too old, although it is used.
    pub(crate) fn wants_renewal(&self, mount: &KeptMount) -> bool {
        let age = self.shared.rules.now().saturating_sub(mount.created);
        u64::try_from(age).unwrap_or_default() > self.ttl / 2
    }

    /// The directory of this name, if one is kept that is believed, and the layers it is made of, all of them verified.
    ///
    /// # Errors
    /// With `--cache-tamper=fail`, that an entry was forged. Nothing else is an error.
    pub(crate) async fn find(
        &self,
        name: &str,
        work: &Path,
    ) -> Result<Option<(KeptMount, Vec<Spool>)>, BuildError> {
        let rules = &self.shared.rules;
        for &signing in rules.signings() {
            let tag = rules.tag(SUBJECT, &key(name), signing);
            match self.read(name, &tag, signing, work).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(miss) => {
                    let forged = self.shared.reject(&self.shared.backend.name(&tag), &miss);
                    if let (Some(forged), Tamper::Fail) = (forged, self.tamper) {
                        return Err(BuildError::LayerCache(forged));
                    }
                }
            }
        }
        Ok(None)
    }

    async fn read(
        &self,
        name: &str,
        tag: &str,
        signing: Signing,
        work: &Path,
    ) -> Result<Option<(KeptMount, Vec<Spool>)>, Miss> {
        let shared = &self.shared;
        let Some((entry, bytes)) = shared.entry(MOUNT, tag).await? else {
            return Ok(None);
        };
        let record = judge(&shared.rules, name, (&entry, &bytes), signing)?;
        let mount = KeptMount {
            top: record.top,
            layers: record.layers.iter().map(CachedLayer::from).collect(),
            source: shared.blobs(tag)?,
            created: record.created.0,
        };
        let mut spools = Vec::new();
        for layer in &mount.layers {
            spools.push(shared.fetch(layer, &mount.source, work).await?);
        }
        Ok(Some((mount, spools)))
    }

    /// Keeps a directory as these layers, of which `new` may not be there yet. What goes wrong is a warning, and gives none.
    pub(crate) async fn keep(
        &self,
        name: &str,
        top: Top,
        layers: Vec<CachedLayer>,
        new: Option<Spool>,
    ) -> Option<KeptMount> {
        let rules = &self.shared.rules;
        let tag = rules.tag(SUBJECT, &key(name), rules.signing());
        let created = rules.now();
        let record = Record {
            v: VERSION,
            domain: rules.domain().to_owned(),
            cache: name.to_owned(),
            top,
            layers: layers.iter().map(StoredLayer::from).collect(),
            created: Time(created),
            not_after: rules.not_after(),
            builder: BUILD_ID.to_owned(),
        };
        let record = record::write(&record).ok()?;
        let manifest = entry::write(MOUNT, &record, &descriptors(&layers), rules.signer()).ok()?;
        let mut blobs = vec![Blob::of_bytes(MOUNT.media_type, &record)];
        if let (Some(spool), Some(layer)) = (new, layers.last()) {
            blobs.push(Blob {
                descriptor: layer.descriptor(),
                spool,
                near: Vec::new(),
            });
        }
        if layers.is_empty() {
            blobs.push(Blob::of_bytes(EMPTY.0, EMPTY.1));
        }
        if !self.shared.put(&tag, blobs, manifest).await {
            return None;
        }
        Some(KeptMount {
            top,
            layers,
            source: self.shared.blobs(&tag).ok()?,
            created,
        })
    }
}

fn key(name: &str) -> CacheKey {
    Framed::new("cache mount").text(name).finish()
}

fn descriptors(layers: &[CachedLayer]) -> Vec<Descriptor> {
    if layers.is_empty() {
        return entry::no_layers();
    }
    layers.iter().map(CachedLayer::descriptor).collect()
}

/// As for layers of steps: the signature first.
fn judge(
    rules: &Rules,
    name: &str,
    (entry, bytes): (&Entry, &[u8]),
    signing: Signing,
) -> Result<Record, Reason> {
    rules.check_signature(MOUNT, entry, bytes, signing)?;
    let record: Record = record::parse(bytes)?;
    let is = |right: bool, reason| if right { Ok(()) } else { Err(reason) };
    is(record.v == VERSION, Reason::Record)?;
    is(record.domain == rules.domain(), Reason::Domain)?;
    is(record.cache == name, Reason::Key)?;
    let layers: Vec<_> = record.layers.iter().map(CachedLayer::from).collect();
    entry.check_layers(&descriptors(&layers))?;
    rules.check_age(record.created, record.not_after)?;
    Ok(record)
}
