//! Layers of earlier builds, and who says that they are what they are said to be.
//!
//! A [`Wanted`] is asked for by its key. An entry is an OCI manifest at a tag that the key, the domain and the way of signing make; its config is the
//! record ([`record`]), which says of which key the layer is, and which bytes and content it has. [`judge`] decides whether an entry is believed;
//! [`backend`] fetches and stores, in a repository or a directory. What is not believed is a miss with a [`Reason`], never a failure, unless the user
//! wants it to be one.
//!
//! Specification: supply-chain.md § 4.

mod again;
mod backend;
mod entry;
mod error;
mod judge;
mod keys;
mod mounts;
mod outlines;
mod reason;
mod record;
mod shared;
mod store;
#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use kigumi_oci::{Descriptor, DiffId, Digest, MediaType};
use kigumi_plan::CacheKey;
use kigumi_registry::{Client, OciLayout, Repository, Spool};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use error::CacheError;
pub(crate) use mounts::{KeptMount, MountCache, Top};
pub(crate) use outlines::{BESIDE, FoundOutline, LayerName, NewOutline, OutlineShelf};
pub(crate) use reason::Reason;

use crate::cli::{CacheSettings, Tamper};
use crate::error::BuildError;
use crate::report::{BuildEvent, Events};
use again::Again;
use shared::Shared;

/// How many entries are asked for at once: as many as a registry answers without complaint.
const AT_ONCE: usize = 16;

/// What an entry must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What it is asked for by.
    pub(crate) key: CacheKey,
    /// Of the framed instruction.
    pub(crate) instruction: Digest,
    /// Of the state that the instruction is applied to.
    pub(crate) base: Digest,
}

/// A layer in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CachedLayer {
    /// Of the stored bytes.
    pub(crate) digest: Digest,
    /// How many of them.
    pub(crate) size: u64,
    /// As stored; what it is called in the image is decided with the image (T-PUSH-10).
    pub(crate) media_type: MediaType,
    /// Of the tar.
    pub(crate) diff_id: DiffId,
}

impl CachedLayer {
    /// As it is stored.
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.size)
    }
}

/// An entry that is believed.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    /// None: the step changed nothing.
    pub(crate) layer: Option<CachedLayer>,
    /// As it was stored with the entry, in that order.
    pub(crate) lineage: Vec<Digest>,
    /// Where the bytes of the layer are.
    pub(crate) source: BlobPlace,
    /// Where else the very same bytes are.
    pub(crate) others: Vec<BlobPlace>,
    /// How the entry came to be there.
    pub(crate) written: Written,
}

/// When an entry was written, and whether by somebody like us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// In seconds since 1970, as is its end.
    pub(crate) created: i64,
    not_after: i64,
    /// Whether this build would sign it as it is signed: by the same key, or by none.
    is_as_ours: bool,
}

/// Where the bytes of a cached layer are.
#[derive(Debug, Clone)]
pub(crate) enum BlobPlace {
    /// In a registry: to be mounted or fetched.
    Repository(Repository),
    /// In a layout on disk.
    Layout(OciLayout),
}

/// The bytes of a new layer, and where they are on their way to. [`Uploads::start`](crate::build) gives it.
#[derive(Debug, Clone)]
pub(crate) struct LayerBytes {
    /// They may still grow.
    pub(crate) spool: Spool,
    /// Repositories that have them when `sent` has ended.
    pub(crate) near: Vec<Repository>,
    /// None if they are sent nowhere.
    pub(crate) sent: Option<Sent>,
}

/// Ends when every upload of a layer has ended, well or not.
#[derive(Debug, Clone)]
pub(crate) struct Sent(watch::Receiver<()>);

/// Held by whoever sends.
pub(crate) type Sending = std::sync::Arc<watch::Sender<()>>;

impl Sent {
    /// The end is when all clones of the sender are gone.
    pub(crate) fn new() -> (Sending, Self) {
        let (sender, receiver) = watch::channel(());
        (std::sync::Arc::new(sender), Self(receiver))
    }

    pub(crate) async fn ended(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// What a step made.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    pub(crate) wanted: Wanted,
    /// How the states that the step was applied to and read from came to be: part of the signed record (`lineage`, a list of digests), given back
    /// with the hit, and judged by whoever asked: an entry of another lineage is not wrong, but does not fit.
    pub(crate) lineage: Vec<Digest>,
    /// None: the step changed nothing.
    pub(crate) layer: Option<(CachedLayer, LayerBytes)>,
}

/// The cache of a build.
#[derive(Debug)]
pub(crate) struct Cache {
    /// A place each, in the order in which they count.
    places: Vec<Arc<Shared>>,
    handle: Handle,
    tamper: Tamper,
    writes: bool,
    running: JoinSet<()>,
    /// What was found and is to be kept under another key too.
    again: Vec<Again>,
}

impl Cache {
    /// Reads the keys; asks nobody yet. Files are read here and not later: the root filesystem is replaced under us.
    /// `now` in seconds since 1970.
    ///
    /// # Errors
    /// A key file that cannot be read or is none.
    pub(crate) fn open(
        settings: &CacheSettings,
        client: &Client,
        handle: Handle,
        events: &Events,
        now: i64,
    ) -> Result<Self, BuildError> {
        let open = |place| {
            let shared = Shared::open(place, settings, client.clone(), events.clone(), now);
            shared.map(Arc::new)
        };
        Ok(Self {
            places: settings.places().map(open).collect::<Result<_, _>>()?,
            handle,
            tamper: settings.tamper,
            writes: settings.writes,
            running: JoinSet::new(),
            again: Vec::new(),
        })
    }

    /// When the build began; its own entries are as old as that.
    pub(crate) fn began(&self) -> i64 {
        let first = self.places.first();
        first.map_or(i64::MAX, |shared| shared.rules.now())
    }

    /// Looks for all of them at once, in all places. An entry that is not believed is told and counted, and is a miss there; of those that are, that of
    /// the first place counts.
    ///
    /// # Errors
    /// With `--cache-tamper=fail`, that an entry was forged. Nothing else is an error.
    pub(crate) async fn lookup(
        &self,
        wanted: &[Wanted],
    ) -> Result<BTreeMap<CacheKey, Hit>, BuildError> {
        let mut searches = JoinSet::new();
        for (at, shared) in self.places.iter().enumerate() {
            let permits = Arc::new(Semaphore::new(AT_ONCE));
            let mut asked = BTreeSet::new();
            for wanted in wanted {
                if !asked.insert(wanted.key) {
                    continue;
                }
                let (shared, permits) = (Arc::clone(shared), Arc::clone(&permits));
                let wanted = wanted.clone();
                searches.spawn(async move {
                    // Nobody closes the semaphore.
                    let _permit = permits.acquire().await;
                    ((wanted.key, at), shared.find(&wanted).await)
                });
            }
        }
        let mut all = BTreeMap::new();
        while let Some(found) = searches.join_next().await {
            let Ok((at, found)) = found else {
                continue;
            };
            if let Some(forged) = found.forged {
                self.punish(forged)?;
            }
            if let Some(hit) = found.hit {
                all.insert(at, hit);
            }
        }
        Ok(first_of_each(all))
    }

    /// Fetches the layer of a hit into a spool in `work`, and gives it when its digest and its `diff_id` are what the entry says (rule 3). None is a
    /// miss, told and counted: make the step again. A hit without a layer has nothing to fetch and gives none.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub(crate) async fn fetch(
        &self,
        key: &CacheKey,
        hit: &Hit,
        work: &Path,
    ) -> Result<Option<Spool>, BuildError> {
        let Some(layer) = &hit.layer else {
            return Ok(None);
        };
        for source in [&hit.source].into_iter().chain(&hit.others) {
            let mut places = self.places.iter();
            let Some(shared) = places.find(|shared| shared.backend.has(source)) else {
                continue;
            };
            match shared.fetch(layer, source, work).await {
                Ok(spool) => return Ok(Some(spool)),
                Err(miss) => {
                    let entry = format!("of the key {}", key.short());
                    if let Some(forged) = shared.reject(&entry, &miss) {
                        self.punish(forged)?;
                    }
                }
            }
        }
        Ok(None)
    }

    /// Keeps an entry in every place, in the background; what goes wrong is a warning (K-CACHE-04). Does nothing if the cache is only read.
    pub(crate) fn store(&mut self, entry: NewEntry) {
        if !self.writes {
            return;
        }
        let entry = Arc::new(entry);
        for shared in &self.places {
            let (shared, entry) = (Arc::clone(shared), Arc::clone(&entry));
            let keeping = async move { shared.keep(&entry).await };
            self.running.spawn_on(keeping, &self.handle);
        }
    }

    /// Waits for what is being stored, and says what the cache was good for.
    pub(crate) async fn finish(&mut self) {
        while self.running.join_next().await.is_some() {}
        for shared in &self.places {
            let mut message = shared.summary();
            if self.places.len() > 1 {
                message = format!("{}: {message}", shared.place());
            }
            shared.events.emit(BuildEvent::Detail { message });
        }
    }

    /// How often entries were not used, by reason.
    #[cfg(test)]
    pub(crate) fn rejected(&self) -> BTreeMap<Reason, u64> {
        let all = self.places.iter().flat_map(|shared| shared.rejected());
        all.fold(BTreeMap::new(), |mut counts, (reason, count)| {
            *counts.entry(reason).or_default() += count;
            counts
        })
    }

    fn punish(&self, forged: CacheError) -> Result<(), BuildError> {
        match self.tamper {
            Tamper::Fail => Err(BuildError::LayerCache(forged)),
            Tamper::Miss => Ok(()),
        }
    }
}

/// Of the hits for a key, by place, the first; and where else its bytes are.
fn first_of_each(all: BTreeMap<(CacheKey, usize), Hit>) -> BTreeMap<CacheKey, Hit> {
    let mut hits: BTreeMap<CacheKey, Hit> = BTreeMap::new();
    for ((key, _), hit) in all {
        match hits.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(hit);
            }
            Entry::Occupied(mut entry) => {
                let first = entry.get_mut();
                if first.layer == hit.layer {
                    first.others.push(hit.source);
                }
            }
        }
    }
    hits
}
