use kigumi_testkit::FakeRegistry;

use super::*;

/// Rule 2: what must be signed is looked for where only signed entries are.
#[tokio::test(flavor = "multi_thread")]
async fn signed_and_unsigned_entries_and_domains_never_share_a_tag() {
    let lab = Lab::new();
    let other_domain = |settings: CacheSettings| CacheSettings {
        domain: "fork".to_owned(),
        ..settings
    };
    let all = [
        lab.open(),
        lab.signed(),
        other_domain(lab.open()),
        other_domain(lab.signed()),
    ];
    for (number, settings) in all.iter().enumerate() {
        lab.store(settings, &wanted(1), &[u8::try_from(number).unwrap()])
            .await;
    }
    let mut layers = Vec::new();
    for settings in &all {
        let cache = lab.cache(settings).await;
        layers.push(look(&cache, &wanted(1)).await.unwrap().layer.unwrap());
        assert!(cache.rejected().is_empty());
    }
    let digests: BTreeSet<Digest> = layers.iter().map(|layer| layer.digest).collect();
    assert_eq!(digests.len(), all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_verifies_needs_no_secret_and_writes_nothing() {
    let lab = Lab::new();
    lab.store(&lab.signed(), &wanted(1), b"made").await;
    let mut cache = lab.cache(&lab.reader()).await;
    assert!(look(&cache, &wanted(1)).await.is_some());
    lab.registry.clear_log();
    cache.store(NewEntry {
        wanted: wanted(2),
        lineage: Vec::new(),
        layer: None,
    });
    cache.finish().await;
    assert!(lab.registry.log().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_keys_any_will_do() {
    let lab = Lab::new();
    lab.store(&lab.signed(), &wanted(1), b"made").await;
    let rotated = CacheSettings {
        verify_keys: vec![lab.key("main-2", 2, false), lab.key("main-1", 1, false)],
        ..lab.reader()
    };
    let cache = lab.cache(&rotated).await;
    assert!(look(&cache, &wanted(1)).await.is_some());
    let retired = CacheSettings {
        verify_keys: vec![lab.key("main-2", 2, false)],
        ..lab.reader()
    };
    let cache = lab.cache(&retired).await;
    assert!(look(&cache, &wanted(1)).await.is_none());
    assert_eq!(cache.rejected(), BTreeMap::from([(Reason::Signature, 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn prefer_takes_an_unsigned_entry_where_there_is_no_signed_one() {
    let lab = Lab::new();
    let unsigned = lab.store(&lab.open(), &wanted(1), b"unsigned").await;
    let prefers = CacheSettings {
        trust: Trust::Prefer,
        ..lab.reader()
    };
    let cache = lab.cache(&prefers).await;
    let found = look(&cache, &wanted(1)).await.unwrap();
    assert_eq!(found.layer, Some(unsigned));
    let signed = lab.store(&lab.signed(), &wanted(1), b"signed").await;
    let found = look(&cache, &wanted(1)).await.unwrap();
    assert_eq!(found.layer, Some(signed));
}

/// Rule 4, T-CACHE-18.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_of_use_until_the_reader_or_the_writer_says_no() {
    let lab = Lab::new();
    let short = CacheSettings {
        ttl: Duration::from_hours(1),
        ..lab.signed()
    };
    lab.store(&lab.signed(), &wanted(1), b"long").await;
    lab.store(&short, &wanted(2), b"short").await;
    let revoked = CacheSettings {
        not_before: Some(NOW + 1),
        ..lab.signed()
    };
    let long = lab.signed();
    for (number, settings, now, expected) in [
        (1, &long, NOW + 336 * HOUR, true),
        (1, &long, NOW + 336 * HOUR + 1, false),
        (1, &short, NOW + HOUR, true),
        (1, &short, NOW + HOUR + 1, false),
        (2, &long, NOW + HOUR, true),
        (2, &long, NOW + HOUR + 1, false),
        (1, &revoked, NOW + 2, false),
    ] {
        let cache = lab.cache_at(settings, now).await;
        let found = look(&cache, &wanted(number)).await.is_some();
        assert_eq!(found, expected, "{number} at {now}");
        let rejected = cache.rejected().get(&Reason::Expired).copied();
        assert_eq!(rejected, (!expected).then_some(1));
    }
}

/// Rule 6.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_entry_ends_the_build_if_that_is_asked_for() {
    let lab = Lab::new();
    lab.store(&lab.signed(), &wanted(1), b"made").await;
    let strict = CacheSettings {
        tamper: Tamper::Fail,
        verify_keys: vec![lab.key("main-1", 9, false)],
        ..lab.reader()
    };
    let cache = lab.cache(&strict).await;
    assert!(cache.lookup(&[wanted(2)]).await.unwrap().is_empty());
    let error = cache.lookup(&[wanted(1)]).await.unwrap_err().to_string();
    assert!(
        error.contains("forged") && error.contains("signature"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_key_is_in_no_log() {
    let lab = Lab::new();
    let settings = lab.signed();
    let events = Events::new(|_| {});
    let client = Client::start(ClientConfig::default()).await.unwrap();
    let opened = Cache::open(&settings, &client, Handle::current(), &events, NOW);
    drop(opened.unwrap());
    let text = std::fs::read_to_string(settings.sign_key.unwrap()).unwrap();
    let (_, secret) = text.trim().split_once(':').unwrap();
    let shown = events.redactor().redact(secret);
    assert!(!secret.is_empty() && !shown.contains(secret), "{shown}");
}

/// K-DROP-05: a tag of kaniko is the key alone, and its entries are images.
#[tokio::test(flavor = "multi_thread")]
async fn entries_of_kaniko_in_the_same_repository_are_misses() {
    let lab = Lab::new();
    let image = image(&lab.registry, "app/cache");
    let (tag, of_kaniko) = (
        wanted(1).key.to_string(),
        "application/vnd.docker.distribution.manifest.v2+json",
    );
    lab.registry
        .put_manifest("app/cache", Some(&tag), of_kaniko, &image);
    for settings in [lab.open(), lab.signed()] {
        let cache = lab.cache(&settings).await;
        assert!(look(&cache, &wanted(1)).await.is_none());
        assert!(cache.rejected().is_empty());
    }
    assert!(!lab.told().contains("Warning"));
}

/// An image with one layer, as kaniko keeps a step.
pub(super) fn image(registry: &FakeRegistry, repository: &str) -> Vec<u8> {
    let config = registry.put_blob(repository, b"{}");
    let layer = registry.put_blob(repository, b"layer");
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"{layer}","size":5}}]}}"#
    )
    .into_bytes()
}
