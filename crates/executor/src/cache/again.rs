//! An entry under one more key: what was found by what is read is to be found the next time by where that is from, before anything runs.
//!
//! Nothing becomes more credible by it. What is written says of its layer what the entry said that was found, is as old as that, ends when that
//! ends, and is signed only if the same key had signed that: a key that was retired, or a time before which nothing is believed, mean what they
//! meant.

use kigumi_oci::Digest;

use super::backend::Blob;
use super::entry::{self, LAYER};
use super::judge::descriptors;
use super::shared::{SUBJECT, Shared};
use super::{Cache, CachedLayer, Hit, Wanted, record};

use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An entry that was found, and what it is to be found by as well.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) wanted: Wanted,
    pub(super) lineage: Vec<Digest>,
    pub(super) layer: CachedLayer,
    hit: Hit,
}

impl Cache {
    /// Keeps a hit under one more key, in the place that it is from, when [`confirm`](Self::confirm) says that its layer can be had. Does nothing if the
    /// cache is only read, or if it was signed by another key than new entries are.
    pub(crate) fn keep_again(&mut self, wanted: Wanted, lineage: Vec<Digest>, hit: &Hit) {
        let (true, true, Some(layer)) = (self.writes, hit.written.is_as_ours, &hit.layer) else {
            return;
        };
        self.again.push(Again {
            wanted,
            lineage,
            layer: layer.clone(),
            hit: hit.clone(),
        });
    }

    /// The layers of all hits were where they should be. In the background; what goes wrong is a warning.
    pub(crate) fn confirm(&mut self) {
        for again in self.again.drain(..) {
            let mut places = self.places.iter();
            if let Some(shared) = places.find(|shared| shared.backend.has(&again.hit.source)) {
                let shared = Arc::clone(shared);
                let keeping = async move { shared.keep_again(&again).await };
                self.running.spawn_on(keeping, &self.handle);
            }
        }
    }

    /// One of the layers was not: the build begins again, and finds what it finds then.
    pub(crate) fn forget_unconfirmed(&mut self) {
        self.again.clear();
    }
}

impl Shared {
    async fn keep_again(&self, again: &Again) {
        let rules = &self.rules;
        let tag = rules.tag(SUBJECT, &again.wanted.key, rules.signing());
        let record = rules.record_again(again, again.hit.written);
        let Ok(record) = record::write(&record) else {
            return;
        };
        let layers = descriptors(Some(&again.layer));
        let Ok(manifest) = entry::write(LAYER, &record, &layers, rules.signer()) else {
            return;
        };
        let (source, descriptor) = (&again.hit.source, again.layer.descriptor());
        let shared = self.backend.share(&tag, source, &descriptor).await;
        if let Err(error) = shared {
            self.tell_unkept(&tag, &error);
            return;
        }
        let record = Blob::of_bytes(LAYER.media_type, &record);
        if self.put(&tag, vec![record], manifest).await {
            self.stored.fetch_add(1, Ordering::Relaxed);
        }
    }
}
