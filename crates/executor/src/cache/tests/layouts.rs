use super::*;

impl Lab {
    fn in_directory(&self) -> CacheSettings {
        CacheSettings {
            place: CachePlace::Directory(self.directory.path().join("cache")),
            ..self.signed()
        }
    }

    /// The one directory below the cache.
    fn entry(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(self.directory.path().join("cache")).unwrap();
        let entry = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none());
        entry
    }
}

/// K-CACHE-02
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_a_layout_for_every_entry() {
    let lab = Lab::new();
    let settings = lab.in_directory();
    let layer = lab.store(&settings, &wanted(1), b"made").await;
    assert!(lab.entry().join("oci-layout").is_file());
    let cache = lab.cache(&settings).await;
    assert!(look(&cache, &wanted(2)).await.is_none());
    let hit = look(&cache, &wanted(1)).await.unwrap();
    assert_eq!(hit.layer, Some(layer));
    let fetched = cache
        .fetch(&wanted(1).key, &hit, lab.directory.path())
        .await;
    assert_eq!(content(&fetched.unwrap().unwrap()), b"made");
    assert!(lab.registry.log().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_layout_is_a_miss() {
    let lab = Lab::new();
    let settings = lab.in_directory();
    let layer = lab.store(&settings, &wanted(1), b"made").await;
    let entry = lab.entry();
    let cache = lab.cache(&settings).await;
    let hit = look(&cache, &wanted(1)).await.unwrap();
    let blob = entry.join("blobs/sha256").join(layer.digest.hex());
    std::fs::write(&blob, b"rubbish").unwrap();
    let fetched = cache
        .fetch(&wanted(1).key, &hit, lab.directory.path())
        .await;
    assert!(fetched.unwrap().is_none());
    assert_eq!(cache.rejected(), BTreeMap::from([(Reason::Digest, 1)]));
    for (file, bytes) in [("index.json", &b"{"[..]), ("oci-layout", b"{}")] {
        std::fs::write(entry.join(file), bytes).unwrap();
        let cache = lab.cache(&settings).await;
        assert!(look(&cache, &wanted(1)).await.is_none());
        assert_eq!(cache.rejected(), BTreeMap::from([(Reason::Type, 1)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_was_damaged_is_replaced_by_one_of_the_same_size() {
    let lab = Lab::new();
    let settings = lab.in_directory();
    let layer = lab.store(&settings, &wanted(1), b"made").await;
    let blob = lab.entry().join("blobs/sha256").join(layer.digest.hex());
    let rubbish = vec![7; std::fs::read(&blob).unwrap().len()];
    std::fs::write(&blob, &rubbish).unwrap();
    let work = lab.directory.path();
    let key = wanted(1).key;
    let cache = lab.cache(&settings).await;
    let hit = look(&cache, &wanted(1)).await.unwrap();
    assert!(cache.fetch(&key, &hit, work).await.unwrap().is_none());
    lab.store(&settings, &wanted(1), b"made").await;
    let cache = lab.cache(&settings).await;
    let hit = look(&cache, &wanted(1)).await.unwrap();
    let fetched = cache.fetch(&key, &hit, work).await.unwrap();
    assert_eq!(content(&fetched.unwrap()), b"made");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_only_half_there_is_none() {
    let lab = Lab::new();
    let settings = lab.in_directory();
    lab.store(&settings, &wanted(1), b"made").await;
    std::fs::remove_file(lab.entry().join("index.json")).unwrap();
    let cache = lab.cache(&settings).await;
    assert!(look(&cache, &wanted(1)).await.is_none());
    assert!(cache.rejected().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_the_same_time_leave_one_whole_entry() {
    let lab = Lab::new();
    let settings = lab.in_directory();
    let mut caches = Vec::new();
    let mut layers = Vec::new();
    for number in 0..8_u8 {
        let mut cache = lab.cache(&settings).await;
        let (layer, bytes) = layer(&[number; 1000]);
        layers.push(layer.clone());
        cache.store(NewEntry {
            wanted: wanted(1),
            lineage: Vec::new(),
            layer: Some((layer, bytes)),
        });
        caches.push(cache);
    }
    for cache in &mut caches {
        cache.finish().await;
        let hit = look(cache, &wanted(1)).await.unwrap();
        assert!(layers.contains(hit.layer.as_ref().unwrap()));
        let fetched = cache
            .fetch(&wanted(1).key, &hit, lab.directory.path())
            .await;
        assert!(fetched.unwrap().is_some());
        assert!(cache.rejected().is_empty());
    }
    assert!(!lab.told().contains("Warning"), "{}", lab.told());
}

/// K-CACHE-04
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_written_is_a_warning() {
    let lab = Lab::new();
    let file = lab.directory.path().join("cache");
    std::fs::write(file, b"not a directory").unwrap();
    let mut cache = lab.cache(&lab.in_directory()).await;
    assert!(look(&cache, &wanted(1)).await.is_none());
    cache.store(NewEntry {
        wanted: wanted(1),
        lineage: Vec::new(),
        layer: None,
    });
    cache.finish().await;
    assert!(lab.told().contains("is not kept"), "{}", lab.told());
}
