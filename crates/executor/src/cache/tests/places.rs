//! A repository and a directory that are one cache.

use super::*;

impl Lab {
    fn place(&self, name: &str) -> CachePlace {
        if let Some(name) = name.strip_prefix("oci:") {
            return CachePlace::Directory(self.directory.path().join(name));
        }
        let reference: Reference = self.registry.reference(name).parse().unwrap();
        CachePlace::Repository(Box::new(reference))
    }

    /// The places as one cache, in this order.
    fn together(&self, names: &[&str]) -> CacheSettings {
        let mut places = names.iter().map(|name| self.place(name));
        CacheSettings {
            place: places.next().unwrap(),
            more: places.collect(),
            ..self.signed()
        }
    }

    async fn fetched(&self, settings: &CacheSettings, wanted: &Wanted) -> Option<Vec<u8>> {
        let cache = self.cache(settings).await;
        let hit = look(&cache, wanted).await?;
        let spool = cache.fetch(&wanted.key, &hit, self.directory.path()).await;
        spool.unwrap().map(|spool| content(&spool))
    }
}

const BOTH: [&str; 2] = ["app/cache", "oci:cache"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_kept_in_every_place_and_found_in_either() {
    let lab = Lab::new();
    lab.store(&lab.together(&BOTH), &wanted(1), b"made").await;
    for places in [
        &BOTH[..],
        &BOTH[..1],
        &BOTH[1..],
        &["app/other", "oci:cache"],
    ] {
        let found = lab.fetched(&lab.together(places), &wanted(1)).await;
        assert_eq!(found.as_deref(), Some(&b"made"[..]), "{places:?}");
    }
    assert_eq!(lab.fetched(&lab.together(&BOTH), &wanted(2)).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_entries_for_one_key_that_of_the_first_place_counts() {
    let lab = Lab::new();
    for (place, made) in BOTH
        .iter()
        .zip([&b"in the registry"[..], b"in the directory"])
    {
        lab.store(&lab.together(&[place]), &wanted(1), made).await;
    }
    let reversed = [BOTH[1], BOTH[0]];
    for (places, expected) in [
        (BOTH, &b"in the registry"[..]),
        (reversed, b"in the directory"),
    ] {
        let found = lab.fetched(&lab.together(&places), &wanted(1)).await;
        assert_eq!(found.as_deref(), Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_broken_stands_in_nobodys_way() {
    let lab = Lab::new();
    lab.store(&lab.together(&["oci:cache"]), &wanted(1), b"made")
        .await;
    let mut settings = lab.together(&BOTH);
    let nobody: Reference = "127.0.0.1:1/app/cache".parse().unwrap();
    settings.place = CachePlace::Repository(Box::new(nobody));
    let found = lab.fetched(&settings, &wanted(1)).await;
    assert_eq!(found.as_deref(), Some(&b"made"[..]));
    lab.store(&settings, &wanted(2), b"more").await;
    assert!(
        lab.told().contains("127.0.0.1:1/app/cache"),
        "{}",
        lab.told()
    );
    let found = lab.fetched(&lab.together(&["oci:cache"]), &wanted(2)).await;
    assert_eq!(found.as_deref(), Some(&b"more"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_one_place_has_lost_comes_from_another() {
    let lab = Lab::new();
    let places = [BOTH[1], BOTH[0]];
    let settings = lab.together(&places);
    let layer = lab.store(&settings, &wanted(1), b"made").await;
    let cache = lab.cache(&settings).await;
    let hit = look(&cache, &wanted(1)).await.unwrap();
    let mut entries = std::fs::read_dir(lab.directory.path().join("cache")).unwrap();
    let entry = entries.next().unwrap().unwrap().path();
    let digest = layer.digest.to_string();
    let blob = entry.join("blobs").join(digest.replace(':', "/"));
    std::fs::remove_file(blob).unwrap();
    let fetched = cache
        .fetch(&wanted(1).key, &hit, lab.directory.path())
        .await;
    assert_eq!(content(&fetched.unwrap().unwrap()), b"made");
    assert!(lab.told().contains("is not used"), "{}", lab.told());
}
