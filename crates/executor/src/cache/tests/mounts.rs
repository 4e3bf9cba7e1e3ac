use super::*;

const NAME: &str = "0123";
const TOP: Top = Top {
    mode: 0o755,
    uid: 0,
    gid: 0,
};

impl Lab {
    async fn mounts(&self, settings: &CacheSettings) -> MountCache {
        let cache = self.cache(settings).await;
        let Backend::Registry { client, .. } = &cache.places[0].backend else {
            panic!("not a registry");
        };
        MountCache::open(settings, client, &cache.places[0].events, NOW).unwrap()
    }

    async fn keep(&self, settings: &CacheSettings, name: &str) {
        let (layer, bytes) = layer(b"content");
        let mounts = self.mounts(settings).await;
        let shelf = mounts.shelf(name).await.unwrap();
        let kept = shelf.keep(name, TOP, vec![layer], Some(bytes.spool)).await;
        assert!(kept.is_some(), "{}", self.told());
    }

    async fn found(&self, settings: &CacheSettings) -> bool {
        let mounts = self.mounts(settings).await;
        let found = mounts.find(NAME, self.directory.path()).await.unwrap();
        found.is_some_and(|(mount, spools)| mount.top == TOP && spools.len() == 1)
    }

    /// Puts the manifest of the last tag that was written to the tag that the first request for one asks for.
    fn misplace(&self) {
        let tags = |method: &str| -> Vec<String> {
            let requests = self.registry.requests(method).into_iter();
            let manifests = requests.filter(|request| request.path.contains("/manifests/"));
            let tag = |path: &str| path.rsplit('/').next().unwrap().to_owned();
            manifests.map(|request| tag(&request.path)).collect()
        };
        let (written, asked) = (tags("PUT"), tags("GET"));
        let (media_type, manifest) = self
            .registry
            .manifest("app/cache", written.last().unwrap())
            .unwrap();
        self.registry
            .put_manifest("app/cache", Some(&asked[0]), &media_type, &manifest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_found_by_who_believes_its_key() {
    let lab = Lab::new();
    lab.keep(&lab.signed(), NAME).await;
    assert!(lab.found(&lab.signed()).await);
    assert!(lab.found(&lab.reader()).await);
    assert!(!lab.found(&lab.open()).await);
    let fork = CacheSettings {
        domain: "fork".to_owned(),
        ..lab.reader()
    };
    assert!(!lab.found(&fork).await);
    let other = CacheSettings {
        verify_keys: vec![lab.key("main-1", 2, false)],
        ..lab.reader()
    };
    assert!(!lab.found(&other).await);
    assert!(lab.told().contains("no signature of a trusted key fits"));
}

/// An entry that is signed and of something else: another cache, another domain, a step.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_entry_of_something_else_is_not_used() {
    for (what, expected) in [
        ("another cache", "another key"),
        ("another domain", "another trust domain"),
        ("a step", "no cache entry"),
        ("nobody", "it is not signed"),
    ] {
        let lab = Lab::new();
        assert!(!lab.found(&lab.reader()).await);
        let signed = lab.signed();
        match what {
            "another cache" => lab.keep(&signed, "4567").await,
            "another domain" => {
                let domain = "fork".to_owned();
                lab.keep(&CacheSettings { domain, ..signed }, NAME).await;
            }
            "a step" => drop(lab.store(&signed, &wanted(1), b"made").await),
            _ => lab.keep(&lab.open(), NAME).await,
        }
        lab.misplace();
        assert!(!lab.found(&lab.reader()).await, "{what}");
        assert!(lab.told().contains(expected), "{what}: {}", lab.told());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_lives_in_a_layout_as_well() {
    let lab = Lab::new();
    let (layer, bytes) = layer(b"content");
    let mounts = lab.mounts(&lab.signed()).await;
    drop(mounts);
    let settings = CacheSettings {
        place: CachePlace::Directory(lab.directory.path().join("cache")),
        ..lab.signed()
    };
    let client = Client::start(ClientConfig::default()).await.unwrap();
    let mounts = MountCache::open(&settings, &client, &Events::new(|_| {}), NOW).unwrap();
    let shelf = mounts.shelf(NAME).await.unwrap();
    let kept = shelf.keep(NAME, TOP, vec![layer], Some(bytes.spool)).await;
    assert!(kept.is_some());
    let found = mounts.find(NAME, lab.directory.path()).await.unwrap();
    let (_, spools) = found.unwrap();
    assert_eq!(content(&spools[0]), b"content");
}
