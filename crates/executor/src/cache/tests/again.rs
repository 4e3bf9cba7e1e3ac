//! Entries that were found by one key and are kept by another one too.

use super::*;

impl Lab {
    /// Finds what is at the first key and keeps it at the second; what the second gives then.
    async fn kept_again(&self, settings: &CacheSettings, now: i64) -> Option<Hit> {
        let mut cache = self.cache_at(settings, now).await;
        let hit = look(&cache, &wanted(1)).await.unwrap();
        cache.keep_again(wanted(2), vec![Digest::of(b"other")], &hit);
        cache.confirm();
        cache.finish().await;
        let again = look(&cache, &wanted(2)).await?;
        assert_eq!(again.layer, hit.layer);
        assert_eq!(again.written, hit.written, "no younger than it was");
        assert_eq!(again.lineage, [Digest::of(b"other")]);
        Some(again)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_is_kept_under_another_key_without_its_layer_being_sent_and_as_old_as_it_is() {
    let lab = Lab::new();
    for settings in [lab.open(), lab.signed()] {
        let layer = lab.store(&settings, &wanted(1), b"made").await;
        lab.registry.clear_log();
        let again = lab.kept_again(&settings, NOW + HOUR).await.unwrap();
        assert_eq!(again.written.created, NOW);
        let digest = layer.digest.to_string();
        let log = lab.registry.log();
        assert!(!log.iter().any(|request| request.line().contains(&digest)));
        let cache = lab.cache(&settings).await;
        let work = lab.directory.path();
        let spool = cache.fetch(&wanted(2).key, &again, work).await.unwrap();
        assert_eq!(content(&spool.unwrap()), b"made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_directory_the_layer_is_in_both_entries() {
    let lab = Lab::new();
    let directory = lab.directory.path().join("cache");
    let settings = CacheSettings {
        place: CachePlace::Directory(directory.clone()),
        ..lab.signed()
    };
    let layer = lab.store(&settings, &wanted(1), b"made").await;
    let first = std::fs::read_dir(&directory).unwrap().next().unwrap();
    let again = lab.kept_again(&settings, NOW).await.unwrap();
    let blob = first.unwrap().path().join("blobs/sha256");
    std::fs::remove_file(blob.join(layer.digest.hex())).unwrap();
    let cache = lab.cache(&settings).await;
    let work = lab.directory.path();
    let spool = cache.fetch(&wanted(2).key, &again, work).await.unwrap();
    assert_eq!(content(&spool.unwrap()), b"made");
}

/// Else a key that is retired would go on to be believed under the name of another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_key_or_nobody_has_signed_is_not_signed() {
    let lab = Lab::new();
    lab.store(&lab.signed(), &wanted(1), b"made").await;
    let rotated = CacheSettings {
        sign_key: Some(lab.key("main-2", 2, true)),
        verify_keys: vec![lab.key("main-1", 1, false)],
        ..lab.signed()
    };
    assert!(lab.kept_again(&rotated, NOW).await.is_none());
    let lab = Lab::new();
    lab.store(&lab.open(), &wanted(1), b"made").await;
    let prefers = CacheSettings {
        trust: Trust::Prefer,
        ..lab.signed()
    };
    assert!(lab.kept_again(&prefers, NOW).await.is_none());
    // Nor would anybody who does not sign take the signature away.
    let lab = Lab::new();
    lab.store(&lab.signed(), &wanted(1), b"made").await;
    let unsigned = CacheSettings {
        writes: true,
        trust: Trust::Prefer,
        ..lab.reader()
    };
    assert!(lab.kept_again(&unsigned, NOW).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_only_read_is_not_written() {
    let lab = Lab::new();
    lab.store(&lab.signed(), &wanted(1), b"made").await;
    assert!(lab.kept_again(&lab.reader(), NOW).await.is_none());
    assert!(!lab.told().contains("is not kept"), "{}", lab.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_confirmed_is_not_kept() {
    let lab = Lab::new();
    let settings = lab.signed();
    lab.store(&settings, &wanted(1), b"made").await;
    let mut cache = lab.cache(&settings).await;
    let hit = look(&cache, &wanted(1)).await.unwrap();
    cache.keep_again(wanted(2), lineage(), &hit);
    cache.forget_unconfirmed();
    cache.confirm();
    cache.finish().await;
    assert!(look(&cache, &wanted(2)).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn that_it_cannot_be_written_is_a_warning() {
    let lab = Lab::new();
    let settings = lab.signed();
    lab.store(&settings, &wanted(1), b"made").await;
    let denied = kigumi_testkit::Action::error(403, "DENIED", "read only");
    let when = kigumi_testkit::When::next("PUT", "/v2/").always();
    lab.registry.fail(kigumi_testkit::Fault::new(when, denied));
    assert!(lab.kept_again(&settings, NOW).await.is_none());
    assert!(lab.told().contains("is not kept"), "{}", lab.told());
}
