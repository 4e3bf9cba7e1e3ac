//! What lookups and stores share: the place, the rules, and what was counted.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kigumi_layer::decompress;
use kigumi_oci::{DiffId, Digester};
use kigumi_registry::{Client, Error, Spool};

use super::backend::Backend;
use super::entry::{Entry, Kind, LAYER};
use super::error::CacheError;
use super::judge::{Rules, Signing};
use super::reason::{Counts, Reason};
use super::{BlobPlace, CachedLayer, Hit, Wanted};
use crate::cli::{CachePlace, CacheSettings};
use crate::error::{BuildError, chain};
use crate::report::{BuildEvent, Events};

/// What the tag of a layer's entry is made of, besides its key.
pub(super) const SUBJECT: &str = "cache entry of a layer";

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) backend: Backend,
    pub(super) rules: Arc<Rules>,
    pub(super) events: Events,
    counts: Counts,
    hits: AtomicU64,
    misses: AtomicU64,
    pub(super) stored: AtomicU64,
    /// Whoever keeps the cache does not answer, or not to us: nobody waits for that again.
    down: AtomicBool,
    /// Nothing may be written.
    pub(super) refused: AtomicBool,
}

/// Why there is no hit, and what is known of it.
#[derive(Debug)]
pub(super) struct Miss {
    pub(super) reason: Reason,
    pub(super) detail: Option<String>,
}

impl From<Reason> for Miss {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
        }
    }
}

/// What a search came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) hit: Option<Hit>,
    /// What was seen on the way.
    pub(super) forged: Option<CacheError>,
}

impl Shared {
    /// Reads the keys; asks nobody yet. Files are read here and not later: the root filesystem is replaced under us. `now` in seconds since 1970.
    ///
    /// # Errors
    /// A key file that cannot be read or is none.
    pub(super) fn open(
        place: &CachePlace,
        settings: &CacheSettings,
        client: Client,
        events: Events,
        now: i64,
    ) -> Result<Self, BuildError> {
        let rules = Rules::new(settings, events.redactor(), now);
        let rules = rules.map_err(BuildError::LayerCache)?;
        Ok(Self::new(
            Backend::new(place, client),
            Arc::new(rules),
            events,
        ))
    }

    pub(super) fn new(backend: Backend, rules: Arc<Rules>, events: Events) -> Self {
        Self {
            backend,
            rules,
            events,
            counts: Counts::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            down: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }

    /// The same rules in a directory.
    pub(super) fn at(&self, directory: PathBuf) -> Self {
        let (rules, events) = (Arc::clone(&self.rules), self.events.clone());
        Self::new(Backend::Directory(directory), rules, events)
    }

    /// The entry for what is wanted, if there is one that is believed.
    pub(super) async fn find(&self, wanted: &Wanted) -> Found {
        let mut found = Found::default();
        for &signing in self.rules.signings() {
            let tag = self.rules.tag(SUBJECT, &wanted.key, signing);
            match self.look(wanted, &tag, signing).await {
                Ok(Some(hit)) => {
                    found.hit = Some(hit);
                    break;
                }
                Ok(None) => {}
                Err(miss) => {
                    let forged = self.reject(&self.backend.name(&tag), &miss);
                    found.forged = found.forged.or(forged);
                }
            }
        }
        let count = if found.hit.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    async fn look(
        &self,
        wanted: &Wanted,
        tag: &str,
        signing: Signing,
    ) -> Result<Option<Hit>, Miss> {
        let Some((entry, record)) = self.entry(LAYER, tag).await? else {
            return Ok(None);
        };
        let believed = self.rules.judge(wanted, (&entry, &record), signing)?;
        let source = self.blobs(tag)?;
        Ok(Some(Hit {
            layer: believed.layer,
            lineage: believed.lineage,
            source,
            others: Vec::new(),
            written: believed.written,
        }))
    }

    /// What is at a tag, if that is an entry of this kind, and its record. Nothing of it is believed yet.
    pub(super) async fn entry(
        &self,
        kind: Kind,
        tag: &str,
    ) -> Result<Option<(Entry, Vec<u8>)>, Miss> {
        let Some(manifest) = self.manifest(tag).await? else {
            return Ok(None);
        };
        let entry = Entry::parse(kind, &manifest)?;
        let record = self.record(tag, &entry).await?;
        Ok(Some((entry, record)))
    }

    /// Whether whoever keeps it does not answer.
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// The manifest at a tag. Nobody is asked who has not answered before.
    async fn manifest(&self, tag: &str) -> Result<Option<Vec<u8>>, Miss> {
        if self.is_down() {
            return Ok(None);
        }
        let manifest = self.backend.manifest(tag).await;
        manifest.map_err(|error| self.unread(&error))
    }

    /// Where the blobs of an entry are.
    pub(super) fn blobs(&self, tag: &str) -> Result<BlobPlace, Miss> {
        let place = self.backend.blobs(tag);
        place.map_err(|error| self.unread(&error))
    }

    /// The bytes of a record, from its manifest or from where that says.
    async fn record(&self, tag: &str, entry: &Entry) -> Result<Vec<u8>, Miss> {
        if let Some(record) = entry.record() {
            return Ok(record.to_vec());
        }
        let fetched = self.backend.record(tag, entry.record_descriptor()).await;
        fetched.map_err(|error| match self.unread(&error) {
            // Whatever is wrong with its bytes, or that there are none: there is no record.
            Miss { reason, detail } if reason.is_tampering() => Miss {
                reason: Reason::Record,
                detail,
            },
            miss => miss,
        })
    }

    /// Fetches a layer and reads it once to its end.
    pub(super) async fn fetch(
        &self,
        layer: &CachedLayer,
        place: &BlobPlace,
        work: &Path,
    ) -> Result<Spool, Miss> {
        let descriptor = layer.descriptor();
        let spool = self.backend.blob(place, &descriptor, work).await;
        let spool = spool.map_err(|error| self.unread(&error))?;
        let reader = spool.reader();
        let content = tokio::task::spawn_blocking(move || -> io::Result<DiffId> {
            let mut tar = decompress(reader).map_err(io::Error::other)?;
            let (digest, _) = Digester::new().drain(&mut tar)?;
            Ok(DiffId(digest))
        });
        match content.await {
            Ok(Ok(diff_id)) if diff_id == layer.diff_id => Ok(spool),
            Ok(Ok(_)) => Err(Reason::DiffId.into()),
            Ok(Err(error)) => Err(Miss {
                reason: Reason::DiffId,
                detail: Some(error.to_string()),
            }),
            Err(error) => Err(Miss {
                reason: Reason::Unreachable,
                detail: Some(error.to_string()),
            }),
        }
    }

    /// What an error says about an entry. Who does not answer at all is not asked again.
    pub(super) fn unread(&self, error: &Error) -> Miss {
        let reason = reason_of(error);
        let is_answered = error.answer().is_some();
        let is_denied = matches!(error.status(), Some(401 | 403));
        if reason == Reason::Unreachable && (!is_answered || is_denied) {
            self.down.store(true, Ordering::Relaxed);
        }
        Miss {
            reason,
            detail: Some(chain(error)),
        }
    }

    /// Tells and counts an entry that is not used. What it gives is for those who want to end there.
    pub(super) fn reject(&self, entry: &str, miss: &Miss) -> Option<CacheError> {
        let Miss { reason, detail } = miss;
        self.counts.add(*reason);
        let detail = detail.as_ref().map(|text| format!(": {text}"));
        let message = format!(
            "the cache entry {entry} is not used: {reason}{}",
            detail.unwrap_or_default()
        );
        if *reason == Reason::Expired {
            self.events.emit(BuildEvent::Detail { message });
        } else {
            self.events.warn(message);
        }
        reason
            .is_tampering()
            .then(|| CacheError::tampered(entry.to_owned(), *reason))
    }

    pub(super) fn rejected(&self) -> BTreeMap<Reason, u64> {
        self.counts.all()
    }

    /// Its place, for messages.
    pub(super) fn place(&self) -> String {
        self.backend.place()
    }

    /// For the end of the build.
    pub(super) fn summary(&self) -> String {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (hits, misses) = (number(&self.hits), number(&self.misses));
        let stored = number(&self.stored);
        let mut parts = vec![format!(
            "cache: {hits} found, {misses} not found, {stored} kept"
        )];
        let rejected = self.rejected().into_iter();
        parts.extend(
            rejected.map(|(reason, count)| format!("{count} not used ({})", reason.label())),
        );
        parts.join(", ")
    }
}

/// What of an error is the bytes' fault, and what is the way's.
fn reason_of(error: &Error) -> Reason {
    let is_content = matches!(
        error,
        Error::TooLarge { .. }
            | Error::Content { .. }
            | Error::Truncated { .. }
            | Error::PutBlob { .. }
    );
    let is_form = matches!(
        error,
        Error::Layout { .. } | Error::LayoutContent { .. } | Error::File { .. }
    );
    if is_content || error.status() == Some(404) {
        Reason::Digest
    } else if is_form {
        Reason::Type
    } else {
        Reason::Unreachable
    }
}
