//! What an operation is applied to, and what it leaves.

use kigumi_oci::{DiffId, Digest, Platform};

use super::{CacheKey, Framed};

/// What a stage on nothing begins with.
#[must_use]
pub fn scratch(platform: &Platform) -> CacheKey {
    on(platform).tag("scratch").finish()
}

/// What a stage on an image begins with: its files. Everything else that a config says is in the steps that see it, so that labels and
/// dates of a base change nothing (T-CACHE-07).
#[must_use]
pub fn image(platform: &Platform, layers: &[DiffId]) -> CacheKey {
    on(platform)
        .tag("layers")
        .list(layers, |framed, layer| framed.digest(&layer.0))
        .finish()
}

/// What a stage on the files of a context begins with.
#[must_use]
pub fn files(platform: &Platform, content: &Digest) -> CacheKey {
    on(platform).tag("files").digest(content).finish()
}

/// T-CACHE-14
fn on(platform: &Platform) -> Framed {
    Framed::new("state").text(&platform.to_string())
}

/// The key of a step: what is done, and the key of what it is done to.
#[must_use]
pub fn step(parent: &CacheKey, instruction: &Digest) -> CacheKey {
    Framed::new("step").key(parent).digest(instruction).finish()
}

/// How a state really came to be.
///
/// A key says what was to be done. Doing that twice may give two results: a RUN reads clocks and networks. The lineage tells them apart: a
/// RUN counts with the layer that it made. A layer from the cache is laid only on the lineage that it was made on (T-CACHE-19, T-CACHE-24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage(Digest);

impl Lineage {
    /// Of what a stage begins with.
    #[must_use]
    pub fn of_state(state: &CacheKey) -> Self {
        Self(state.digest())
    }

    /// As it was written down.
    #[must_use]
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// To write it down.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.0
    }

    /// Where a key of a state is asked for.
    #[must_use]
    pub const fn state(&self) -> CacheKey {
        CacheKey::new(*self.0.as_bytes())
    }

    /// After a COPY, ADD or WORKDIR: they do the same to the same, times of files apart.
    #[must_use]
    pub fn made(&self, instruction: &Digest) -> Self {
        let framed = Framed::new("lineage").tag("made").digest(&self.0);
        Self(framed.digest(instruction).finish().digest())
    }

    /// After a RUN.
    #[must_use]
    pub fn ran(&self, layer: &DiffId) -> Self {
        let framed = Framed::new("lineage").tag("ran").digest(&self.0);
        Self(framed.digest(&layer.0).finish().digest())
    }
}
