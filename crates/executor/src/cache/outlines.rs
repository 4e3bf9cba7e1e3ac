//! What layers do to a tree, kept so that nobody has to fetch them to know it: an entry for each layer, whose blob is its outline. They are signed,
//! told apart and believed like layers of steps, as another kind: an outline decides what COPY makes.
//!
//! An outline is asked for by the stored bytes of the layer *and* by their content: whoever wrote it has read the one and seen the other, so
//! nothing is believed of a pair that nobody has checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kigumi_layer::FinishedOutline;
use kigumi_oci::{Descriptor, DiffId, Digest, MediaType};
use kigumi_plan::{CacheKey, Framed};
use kigumi_registry::Spool;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::backend::{Backend, Blob};
use super::entry::{self, Entry, Kind};
use super::error::CacheError;
use super::judge::{Rules, Signing};
use super::record::{self, Time, VERSION};
use super::shared::{Miss, Shared};
use super::{AT_ONCE, BlobPlace, Cache, Reason};
use crate::cli::{BUILD_ID, CacheSettings};
use crate::error::BuildError;
use crate::report::Events;

/// The outline of a layer.
const OUTLINE: Kind = Kind {
    media_type: "application/vnd.kigumi.cache-outline.v1+json",
    signed_as: "KXOUTLINE1",
};
/// The media type of its blob.
const BLOB: &str = "application/vnd.kigumi.outline.v1+zstd";
/// What the tag of an entry is made of, besides its key.
const SUBJECT: &str = "cache entry of an outline";
/// What no outline is larger than as stored, in bytes.
const LONGEST: u64 = 64 << 20;
/// Where the outlines of a base image are, in the directory that the warmer has made for it.
pub(crate) const BESIDE: &str = "outlines";

/// Which layer an outline is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LayerName {
    /// Of the stored bytes.
    pub(crate) digest: Digest,
    /// Of the tar.
    pub(crate) diff_id: DiffId,
}

/// An outline that was just made.
#[derive(Debug, Clone)]
pub(crate) struct NewOutline {
    pub(crate) layer: LayerName,
    pub(crate) finished: FinishedOutline,
    /// Its bytes.
    pub(crate) spool: Spool,
}

/// An entry that is believed.
#[derive(Debug, Clone)]
pub(crate) struct FoundOutline {
    descriptor: Descriptor,
    place: BlobPlace,
    /// Who has it.
    shared: Arc<Shared>,
}

/// What an entry says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    v: u32,
    domain: String,
    /// The layer's stored bytes.
    layer: Digest,
    diff_id: DiffId,
    outline: StoredOutline,
    created: Time,
    not_after: Time,
    builder: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredOutline {
    digest: Digest,
    size: u64,
}

impl StoredOutline {
    fn descriptor(self) -> Descriptor {
        Descriptor::new(MediaType::from(BLOB), self.digest, self.size)
    }
}

impl LayerName {
    fn key(&self) -> CacheKey {
        let framed = Framed::new("outline").digest(&self.digest);
        framed.digest(&self.diff_id.0).finish()
    }
}

impl Shared {
    /// The outline of a layer, if there is one that is believed, and what was seen on the way.
    async fn find_outline(
        self: &Arc<Self>,
        layer: &LayerName,
    ) -> (Option<FoundOutline>, Option<CacheError>) {
        let mut forged = None;
        for &signing in self.rules.signings() {
            let tag = self.rules.tag(SUBJECT, &layer.key(), signing);
            match self.read_outline(layer, &tag, signing).await {
                Ok(Some(found)) => return (Some(found), forged),
                Ok(None) => {}
                Err(miss) => forged = forged.or(self.reject(&self.backend.name(&tag), &miss)),
            }
        }
        (None, forged)
    }

    async fn read_outline(
        self: &Arc<Self>,
        layer: &LayerName,
        tag: &str,
        signing: Signing,
    ) -> Result<Option<FoundOutline>, Miss> {
        let Some((entry, bytes)) = self.entry(OUTLINE, tag).await? else {
            return Ok(None);
        };
        let record = judge(&self.rules, layer, (&entry, &bytes), signing)?;
        Ok(Some(FoundOutline {
            descriptor: record.outline.descriptor(),
            place: self.blobs(tag)?,
            shared: Arc::clone(self),
        }))
    }

    /// Keeps an outline. What goes wrong is told.
    async fn keep_outline(&self, new: NewOutline) {
        let rules = &self.rules;
        let tag = rules.tag(SUBJECT, &new.layer.key(), rules.signing());
        let outline = StoredOutline {
            digest: new.finished.digest,
            size: new.finished.size,
        };
        let record = Record {
            v: VERSION,
            domain: rules.domain().to_owned(),
            layer: new.layer.digest,
            diff_id: new.layer.diff_id,
            outline,
            created: Time(rules.now()),
            not_after: rules.not_after(),
            builder: BUILD_ID.to_owned(),
        };
        let descriptor = outline.descriptor();
        let Ok(record) = record::write(&record) else {
            return;
        };
        let layers = std::slice::from_ref(&descriptor);
        let Ok(manifest) = entry::write(OUTLINE, &record, layers, rules.signer()) else {
            return;
        };
        let blob = Blob {
            descriptor,
            spool: new.spool,
            near: Vec::new(),
        };
        let record = Blob::of_bytes(OUTLINE.media_type, &record);
        self.put(&tag, vec![blob, record], manifest).await;
    }
}

/// As for layers of steps: the signature first.
fn judge(
    rules: &Rules,
    layer: &LayerName,
    (entry, bytes): (&Entry, &[u8]),
    signing: Signing,
) -> Result<Record, Reason> {
    rules.check_signature(OUTLINE, entry, bytes, signing)?;
    let record: Record = record::parse(bytes)?;
    let is = |right: bool, reason| if right { Ok(()) } else { Err(reason) };
    is(record.v == VERSION, Reason::Record)?;
    is(record.domain == rules.domain(), Reason::Domain)?;
    let named = (record.layer, record.diff_id);
    is(named == (layer.digest, layer.diff_id), Reason::Key)?;
    is(record.outline.size <= LONGEST, Reason::Record)?;
    entry.check_layers(&[record.outline.descriptor()])?;
    rules.check_age(record.created, record.not_after)?;
    Ok(record)
}

/// The outline of a layer in the first of some places that has it, and what was seen on the way.
async fn find_in(
    places: &[Arc<Shared>],
    layer: &LayerName,
) -> (Option<FoundOutline>, Option<CacheError>) {
    let mut forged = None;
    for shared in places {
        let (found, seen) = shared.find_outline(layer).await;
        forged = forged.or(seen);
        if found.is_some() {
            return (found, forged);
        }
    }
    (None, forged)
}

impl Cache {
    /// Whether outlines are kept.
    pub(crate) const fn writes(&self) -> bool {
        self.writes
    }

    /// Looks for the outlines of all these layers at once: first in the directory that is given with a layer, then in the cache.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub(crate) async fn look_for_outlines(
        &self,
        wanted: Vec<(LayerName, Option<PathBuf>)>,
    ) -> Result<BTreeMap<LayerName, FoundOutline>, BuildError> {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut searches = JoinSet::new();
        for (layer, beside) in wanted {
            let beside = beside.filter(|path| path.is_dir());
            let rules = self.places.first();
            let places = beside.zip(rules);
            let places = places.map(|(path, shared)| Arc::new(shared.at(path)));
            let places: Vec<_> = places
                .into_iter()
                .chain(self.places.iter().cloned())
                .collect();
            let permits = Arc::clone(&permits);
            searches.spawn(async move {
                // Nobody closes the semaphore.
                let _permit = permits.acquire().await;
                let (found, forged) = find_in(&places, &layer).await;
                (layer, found, forged)
            });
        }
        let mut all = BTreeMap::new();
        while let Some(searched) = searches.join_next().await {
            let Ok((layer, found, forged)) = searched else {
                continue;
            };
            if let Some(forged) = forged {
                self.punish(forged)?;
            }
            all.extend(found.map(|found| (layer, found)));
        }
        Ok(all)
    }

    /// Fetches outlines into spools in `work`, all of them verified. Those that cannot be had are told, counted and not given.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub(crate) async fn fetch_outlines(
        &self,
        wanted: Vec<(LayerName, FoundOutline)>,
        work: &Path,
    ) -> Result<BTreeMap<LayerName, Spool>, BuildError> {
        let mut fetches = JoinSet::new();
        for (layer, found) in wanted {
            let work = work.to_owned();
            fetches.spawn(async move {
                let shared = &found.shared;
                let backend = &shared.backend;
                let fetched = backend.blob(&found.place, &found.descriptor, &work).await;
                let spool = fetched.map_err(|error| {
                    let entry = format!("of the layer {}", layer.digest);
                    shared.reject(&entry, &shared.unread(&error))
                });
                (layer, spool)
            });
        }
        let mut all = BTreeMap::new();
        while let Some(fetched) = fetches.join_next().await {
            match fetched {
                Ok((layer, Ok(spool))) => drop(all.insert(layer, spool)),
                Ok((_, Err(Some(forged)))) => self.punish(forged)?,
                Ok((_, Err(None))) | Err(_) => {}
            }
        }
        Ok(all)
    }

    /// Tells and counts an outline that is believed, and is none.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub(crate) fn reject_outline(
        &self,
        layer: &LayerName,
        detail: String,
    ) -> Result<(), BuildError> {
        let miss = Miss {
            reason: Reason::Outline,
            detail: Some(detail),
        };
        let entry = format!("of the layer {}", layer.digest);
        let first = self.places.first();
        let forged = first.and_then(|shared| shared.reject(&entry, &miss));
        forged.map_or(Ok(()), |forged| self.punish(forged))
    }

    /// Keeps an outline, in the background; what goes wrong is a warning. Does nothing if the cache is only read.
    pub(crate) fn store_outline(&mut self, outline: NewOutline) {
        if !self.writes {
            return;
        }
        let outline = Arc::new(outline);
        for shared in &self.places {
            let (shared, outline) = (Arc::clone(shared), Arc::clone(&outline));
            let keeping = async move { shared.keep_outline((*outline).clone()).await };
            self.running.spawn_on(keeping, &self.handle);
        }
    }
}

/// Writes outlines into a directory, for the warmer.
#[derive(Debug)]
pub(crate) struct OutlineShelf {
    rules: Arc<Rules>,
    events: Events,
}

impl OutlineShelf {
    /// Reads the key, if there is one.
    ///
    /// # Errors
    /// A key file that cannot be read or is none.
    pub(crate) fn open(
        settings: &CacheSettings,
        events: Events,
        now: i64,
    ) -> Result<Self, BuildError> {
        let rules = Rules::new(settings, events.redactor(), now);
        Ok(Self {
            rules: Arc::new(rules.map_err(BuildError::LayerCache)?),
            events,
        })
    }

    fn at(&self, directory: PathBuf) -> Arc<Shared> {
        let (rules, events) = (Arc::clone(&self.rules), self.events.clone());
        Arc::new(Shared::new(Backend::Directory(directory), rules, events))
    }

    /// Whether the directory has an outline of the layer that is believed.
    pub(crate) async fn has(&self, directory: &Path, layer: &LayerName) -> bool {
        let shared = self.at(directory.to_owned());
        shared.find_outline(layer).await.0.is_some()
    }

    /// Keeps an outline there. What goes wrong is told.
    pub(crate) async fn put(&self, directory: &Path, outline: NewOutline) {
        self.at(directory.to_owned()).keep_outline(outline).await;
    }
}
