//! New entries on their way.

use std::sync::atomic::Ordering;

use kigumi_oci::Digest;
use kigumi_registry::{Error, Repository};

use super::backend::Blob;
use super::entry::{self, EMPTY, LAYER};
use super::judge::descriptors;
use super::shared::{SUBJECT, Shared};
use super::{LayerBytes, NewEntry, record};
use crate::error::chain;

impl Shared {
    /// Keeps an entry. What goes wrong is told once if it will go wrong again (K-CACHE-04).
    pub(super) async fn keep(&self, new: &NewEntry) {
        let tag = self
            .rules
            .tag(SUBJECT, &new.wanted.key, self.rules.signing());
        let record = self.rules.record(new);
        let Ok(record) = record::write(&record) else {
            return;
        };
        let layers = descriptors(new.layer.as_ref().map(|(layer, _)| layer));
        let Ok(manifest) = entry::write(LAYER, &record, &layers, self.rules.signer()) else {
            return;
        };
        let layer = match &new.layer {
            None => Blob::of_bytes(EMPTY.0, EMPTY.1),
            Some((layer, bytes)) => {
                let descriptor = layer.descriptor();
                let Some(near) = wait(bytes, descriptor.digest).await else {
                    // The build has failed, and says so itself.
                    return;
                };
                Blob {
                    descriptor,
                    spool: bytes.spool.clone(),
                    near,
                }
            }
        };
        let record = Blob::of_bytes(LAYER.media_type, &record);
        if self.put(&tag, vec![layer, record], manifest).await {
            self.stored.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether anything can be written, which a small blob that many entries have shows.
    pub(super) async fn takes(&self, tag: &str) -> bool {
        if self.is_down() || self.refused.load(Ordering::Relaxed) {
            return false;
        }
        let outcome = self.backend.try_out(tag).await;
        outcome
            .map_err(|error| self.tell_unkept(tag, &error))
            .is_ok()
    }

    /// Writes, unless that was refused before.
    pub(super) async fn put(&self, tag: &str, blobs: Vec<Blob>, manifest: Vec<u8>) -> bool {
        if self.refused.load(Ordering::Relaxed) {
            return false;
        }
        let Err(error) = self.backend.put(tag, blobs, manifest).await else {
            return true;
        };
        self.tell_unkept(tag, &error);
        false
    }

    /// Once, if it will go wrong again.
    pub(super) fn tell_unkept(&self, tag: &str, error: &Error) {
        let for_good = is_refusal(error);
        if for_good && self.refused.swap(true, Ordering::Relaxed) {
            return;
        }
        let place = self.backend.name(tag);
        let rest = if for_good {
            "; nothing more is written to this cache"
        } else {
            ""
        };
        self.events
            .warn(format!("{place} is not kept: {}{rest}", chain(error)));
    }
}

/// The repositories that have the layer, when it is complete and those who send it are done.
async fn wait(bytes: &LayerBytes, digest: Digest) -> Option<Vec<Repository>> {
    let finished = bytes.spool.finished().await.ok()?;
    if finished.digest != digest {
        return None;
    }
    if let Some(sent) = &bytes.sent {
        sent.clone().ended().await;
    }
    Some(bytes.near.clone())
}

/// Whether the next attempt would end the same way.
fn is_refusal(error: &Error) -> bool {
    let is_settled = matches!(
        error,
        Error::Unauthenticated { .. } | Error::TokenStatus { .. } | Error::File { .. }
    );
    // Without a status nobody has answered, attempt after attempt.
    let is_answered = |status| matches!(status, 401 | 403 | 405);
    is_settled || error.status().map_or(error.is_transient(), is_answered)
}
