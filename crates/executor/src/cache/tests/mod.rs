mod again;
mod faults;
mod layouts;
mod mounts;
mod mutations;
mod outlines;
mod places;
mod trust;

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kigumi_layer::{CompressionSettings, LayerWriter};
use kigumi_oci::{Compression, Reference};
use kigumi_plan::Framed;
use kigumi_registry::{ClientConfig, RetryPolicy};
use kigumi_testkit::FakeRegistry;

use super::backend::Backend;
use super::keys::tests::key_files;
use super::*;
use crate::cli::{CachePlace, Trust};

/// The time of all tests.
const NOW: i64 = 1_700_000_000;
const HOUR: i64 = 3600;

/// A registry, keys, and what was told.
struct Lab {
    registry: FakeRegistry,
    directory: tempfile::TempDir,
    told: Arc<Mutex<Vec<String>>>,
    client: tokio::sync::OnceCell<Client>,
}

impl Lab {
    fn new() -> Self {
        Self {
            registry: FakeRegistry::start(),
            directory: tempfile::tempdir().unwrap(),
            told: Arc::default(),
            client: tokio::sync::OnceCell::new(),
        }
    }

    /// A file with the secret or the public key of this name and seed.
    fn key(&self, name: &str, seed: u8, secret: bool) -> PathBuf {
        let (sign, verify) = key_files(name, seed);
        let path = self
            .directory
            .path()
            .join(format!("{name}-{seed}-{secret}"));
        std::fs::write(&path, if secret { sign } else { verify }).unwrap();
        path
    }

    /// Everything is believed.
    fn open(&self) -> CacheSettings {
        let reference: Reference = self.registry.reference("app/cache").parse().unwrap();
        CacheSettings::of(CachePlace::Repository(Box::new(reference)))
    }

    /// Entries of the key `main-1` are believed and written.
    fn signed(&self) -> CacheSettings {
        CacheSettings {
            trust: Trust::Require,
            sign_key: Some(self.key("main-1", 1, true)),
            ..self.open()
        }
    }

    /// Entries of the key `main-1` are believed, and nothing is written.
    fn reader(&self) -> CacheSettings {
        CacheSettings {
            writes: false,
            sign_key: None,
            verify_keys: vec![self.key("main-1", 1, false)],
            ..self.signed()
        }
    }

    async fn cache_at(&self, settings: &CacheSettings, now: i64) -> Cache {
        let config = ClientConfig {
            retry: RetryPolicy::immediate(5),
            ..ClientConfig::default()
        };
        let start = async || Client::start(config).await.unwrap();
        let client = self.client.get_or_init(start).await.clone();
        let told = Arc::clone(&self.told);
        let events = Events::new(move |event| told.lock().unwrap().push(format!("{event:?}")));
        Cache::open(settings, &client, Handle::current(), &events, now).unwrap()
    }

    async fn cache(&self, settings: &CacheSettings) -> Cache {
        self.cache_at(settings, NOW).await
    }

    /// Stores an entry for `wanted` with this content.
    async fn store(
        &self,
        settings: &CacheSettings,
        wanted: &Wanted,
        content: &[u8],
    ) -> CachedLayer {
        self.store_at(settings, NOW, wanted, content).await
    }

    async fn store_at(
        &self,
        settings: &CacheSettings,
        now: i64,
        wanted: &Wanted,
        content: &[u8],
    ) -> CachedLayer {
        let mut cache = self.cache_at(settings, now).await;
        let (layer, bytes) = layer(content);
        cache.store(NewEntry {
            wanted: wanted.clone(),
            lineage: lineage(),
            layer: Some((layer.clone(), bytes)),
        });
        cache.finish().await;
        layer
    }

    fn told(&self) -> String {
        self.told.lock().unwrap().join("\n")
    }
}

fn wanted(number: u64) -> Wanted {
    Wanted {
        key: Framed::new("test").number(number).finish(),
        instruction: Digest::of(b"RUN make"),
        base: Digest::of(b"base"),
    }
}

fn lineage() -> Vec<Digest> {
    vec![Digest::of(b"one"), Digest::of(b"two")]
}

/// A layer with this in its tar, compressed.
fn layer(content: &[u8]) -> (CachedLayer, LayerBytes) {
    let directory = tempfile::tempdir().unwrap();
    let (spool_writer, spool) = Spool::create(directory.path()).unwrap();
    let settings = CompressionSettings::new(Compression::Gzip);
    let mut spool_writer = spool_writer;
    let mut writer = LayerWriter::new(&mut spool_writer, &settings).unwrap();
    writer.write_all(content).unwrap();
    let finished = writer.finish().unwrap();
    spool_writer.finish(finished.digest, finished.size).unwrap();
    let layer = CachedLayer {
        digest: finished.digest,
        size: finished.size,
        media_type: MediaType::ImageLayerGzip,
        diff_id: finished.diff_id,
    };
    let bytes = LayerBytes {
        spool,
        near: Vec::new(),
        sent: None,
    };
    (layer, bytes)
}

/// What the cache gives for one thing.
async fn look(cache: &Cache, wanted: &Wanted) -> Option<Hit> {
    let mut hits = cache.lookup(std::slice::from_ref(wanted)).await.unwrap();
    hits.remove(&wanted.key)
}

fn content(spool: &Spool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut tar = kigumi_layer::decompress(spool.reader()).unwrap();
    std::io::Read::read_to_end(&mut tar, &mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_build_keeps_the_next_one_finds() {
    let lab = Lab::new();
    for settings in [lab.open(), lab.signed()] {
        let layer = lab.store(&settings, &wanted(1), b"made").await;
        let cache = lab.cache(&settings).await;
        assert!(look(&cache, &wanted(2)).await.is_none());
        let hit = look(&cache, &wanted(1)).await.unwrap();
        assert_eq!(hit.layer.as_ref(), Some(&layer));
        assert_eq!(hit.lineage, lineage());
        let work = lab.directory.path();
        let spool = cache.fetch(&wanted(1).key, &hit, work).await.unwrap();
        assert_eq!(content(&spool.unwrap()), b"made");
        assert!(cache.rejected().is_empty());
    }
}

/// T-CACHE-15
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_changed_nothing_is_kept_too() {
    let lab = Lab::new();
    let mut cache = lab.cache(&lab.signed()).await;
    cache.store(NewEntry {
        wanted: wanted(1),
        lineage: Vec::new(),
        layer: None,
    });
    cache.finish().await;
    let hit = look(&cache, &wanted(1)).await.unwrap();
    assert!(hit.layer.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_one_request_a_key_and_no_layer() {
    let lab = Lab::new();
    let settings = lab.signed();
    for number in 0..20 {
        let made = number.to_string();
        lab.store(&settings, &wanted(number), made.as_bytes()).await;
    }
    let cache = lab.cache(&settings).await;
    lab.registry.clear_log();
    let all: Vec<Wanted> = (0..40).chain(0..5).map(wanted).collect();
    let hits = cache.lookup(&all).await.unwrap();
    assert_eq!(hits.len(), 20);
    let gets = lab.registry.requests("GET");
    let manifests = gets.iter().filter(|get| get.path.contains("/manifests/"));
    assert_eq!(manifests.count(), 40);
    assert!(!gets.iter().any(|get| get.path.contains("/blobs/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_the_destination_has_is_mounted() {
    let lab = Lab::new();
    let mut cache = lab.cache(&lab.open()).await;
    let (layer, mut bytes) = layer(b"made");
    let destination: Reference = lab.registry.reference("app").parse().unwrap();
    bytes.near = vec![Repository::of(&destination)];
    let (sending, sent) = Sent::new();
    bytes.sent = Some(sent);
    cache.store(NewEntry {
        wanted: wanted(1),
        lineage: Vec::new(),
        layer: Some((layer.clone(), bytes.clone())),
    });
    let mut stored = Vec::new();
    std::io::Read::read_to_end(&mut bytes.spool.reader(), &mut stored).unwrap();
    lab.registry.put_blob("app", &stored);
    // Only now it is there.
    drop(sending);
    cache.finish().await;
    assert!(lab.registry.has_blob("app/cache", layer.digest));
    let posts = lab.registry.requests("POST");
    let digest = layer.digest.to_string();
    let mount = posts
        .iter()
        .find(|post| post.parameter("mount") == Some(&digest));
    assert_eq!(mount.unwrap().status, 201);
    let sent = lab.registry.requests("PATCH");
    assert!(sent.iter().all(|patch| patch.body_bytes != layer.size));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_was_never_finished_is_not_kept() {
    let lab = Lab::new();
    let mut cache = lab.cache(&lab.open()).await;
    let (layer, mut bytes) = layer(b"made");
    let (writer, spool) = Spool::create(lab.directory.path()).unwrap();
    bytes.spool = spool;
    cache.store(NewEntry {
        wanted: wanted(1),
        lineage: Vec::new(),
        layer: Some((layer, bytes)),
    });
    drop(writer);
    cache.finish().await;
    assert!(look(&cache, &wanted(1)).await.is_none());
    assert!(lab.registry.requests("PUT").is_empty());
}
