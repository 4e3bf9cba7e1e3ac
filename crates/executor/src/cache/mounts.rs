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
use super::error::CacheError;
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
    /// In the order in which they count.
    places: Vec<Arc<Shared>>,
    tamper: Tamper,
    writes: bool,
    /// In seconds.
    ttl: u64,
}

/// A place that takes directories.
#[derive(Debug, Clone)]
pub(crate) struct MountShelf(Arc<Shared>);

impl MountShelf {
    /// Whether the layers of a directory are there already.
    pub(crate) fn has(&self, mount: &KeptMount) -> bool {
        self.0.backend.has(&mount.source)
    }
}

impl MountCache {
    /// Reads the keys; asks nobody yet.
    ///
    /// # Errors
    /// A key file that cannot be read or is none.
    pub(crate) fn open(
        settings: &CacheSettings,
        client: &Client,
        events: &Events,
        now: i64,
    ) -> Result<Self, BuildError> {
        let open = |place| {
            let shared = Shared::open(place, settings, client.clone(), events.clone(), now);
            shared.map(Arc::new)
        };
        Ok(Self {
            places: settings.places().map(open).collect::<Result<_, _>>()?,
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
        let now = self.places.first().map(|shared| shared.rules.now());
        let age = now.unwrap_or_default().saturating_sub(mount.created);
        u64::try_from(age).unwrap_or_default() > self.ttl / 2
    }

    /// The first place that can be written, as far as that is known: where there is only one, writing shows it. Those that refuse are told of.
    pub(crate) async fn shelf(&self, name: &str) -> Option<MountShelf> {
        let is_alone = self.places.len() == 1;
        for shared in &self.places {
            let rules = &shared.rules;
            let tag = rules.tag(SUBJECT, &key(name), rules.signing());
            if is_alone || shared.takes(&tag).await {
                return Some(MountShelf(Arc::clone(shared)));
            }
        }
        None
    }

    /// The directory of this name in the first place where one is kept that is believed, and the layers it is made of, all of them verified.
    ///
    /// # Errors
    /// With `--cache-tamper=fail`, that an entry was forged. Nothing else is an error.
    pub(crate) async fn find(
        &self,
        name: &str,
        work: &Path,
    ) -> Result<Option<(KeptMount, Vec<Spool>)>, BuildError> {
        for shared in &self.places {
            let (found, forged) = shared.find_mount(name, work).await;
            if let (Some(forged), Tamper::Fail) = (forged, self.tamper) {
                return Err(BuildError::LayerCache(forged));
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

impl Shared {
    /// What is kept here that is believed, and what was seen on the way.
    async fn find_mount(
        &self,
        name: &str,
        work: &Path,
    ) -> (Option<(KeptMount, Vec<Spool>)>, Option<CacheError>) {
        let mut forged = None;
        for &signing in self.rules.signings() {
            let tag = self.rules.tag(SUBJECT, &key(name), signing);
            match self.read_mount(name, &tag, signing, work).await {
                Ok(Some(found)) => return (Some(found), forged),
                Ok(None) => {}
                Err(miss) => forged = forged.or(self.reject(&self.backend.name(&tag), &miss)),
            }
        }
        (None, forged)
    }

    async fn read_mount(
        &self,
        name: &str,
        tag: &str,
        signing: Signing,
        work: &Path,
    ) -> Result<Option<(KeptMount, Vec<Spool>)>, Miss> {
        let Some((entry, bytes)) = self.entry(MOUNT, tag).await? else {
            return Ok(None);
        };
        let record = judge(&self.rules, name, (&entry, &bytes), signing)?;
        let mount = KeptMount {
            top: record.top,
            layers: record.layers.iter().map(CachedLayer::from).collect(),
            source: self.blobs(tag)?,
            created: record.created.0,
        };
        let mut spools = Vec::new();
        for layer in &mount.layers {
            spools.push(self.fetch(layer, &mount.source, work).await?);
        }
        Ok(Some((mount, spools)))
    }
}

impl MountShelf {
    /// Keeps a directory as these layers, of which `new` may not be there yet. What goes wrong is a warning, and gives none.
    pub(crate) async fn keep(
        &self,
        name: &str,
        top: Top,
        layers: Vec<CachedLayer>,
        new: Option<Spool>,
    ) -> Option<KeptMount> {
        let Self(shared) = self;
        let rules = &shared.rules;
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
        if !shared.put(&tag, blobs, manifest).await {
            return None;
        }
        Some(KeptMount {
            top,
            layers,
            source: shared.blobs(&tag).ok()?,
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
