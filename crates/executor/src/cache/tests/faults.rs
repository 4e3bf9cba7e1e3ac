use kigumi_testkit::{Action, Fault, When};

use super::*;

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"];

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_fails_every_third_request_ends_with_hits_or_misses() {
    let lab = Lab::new();
    for method in METHODS {
        for _ in 0..100 {
            let when = When::next(method, "/v2/app").after(2);
            let unwell = Action::error(503, "UNAVAILABLE", "not now");
            lab.registry.fail(Fault::new(when, unwell));
        }
    }
    let settings = lab.signed();
    let mut cache = lab.cache(&settings).await;
    for number in 0..10 {
        let (layer, bytes) = layer(number.to_string().as_bytes());
        cache.store(NewEntry {
            wanted: wanted(number),
            lineage: Vec::new(),
            layer: Some((layer, bytes)),
        });
    }
    cache.finish().await;
    let all: Vec<Wanted> = (0..20).map(wanted).collect();
    let hits = cache.lookup(&all).await.unwrap();
    assert!(!hits.is_empty(), "{}", lab.told());
    for number in 0..20 {
        let key = wanted(number).key;
        let Some(hit) = hits.get(&key) else {
            continue;
        };
        let fetched = cache.fetch(&key, hit, lab.directory.path()).await;
        if let Some(spool) = fetched.unwrap() {
            assert_eq!(content(&spool), number.to_string().as_bytes());
        }
    }
    let failed = lab.registry.log();
    assert!(
        failed
            .iter()
            .filter(|request| request.status == 503)
            .count()
            > 10
    );
}

/// K-CACHE-04, T-CACHE-20
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_cannot_be_written_is_one_warning() {
    let lab = Lab::new();
    lab.store(&lab.open(), &wanted(1), b"made").await;
    for method in ["POST", "PUT", "PATCH"] {
        let denied = Action::error(403, "DENIED", "read only");
        lab.registry
            .fail(Fault::new(When::next(method, "/v2/").always(), denied));
    }
    let mut cache = lab.cache(&lab.open()).await;
    assert!(look(&cache, &wanted(1)).await.is_some());
    for number in 2..6 {
        let (layer, bytes) = layer(b"made again");
        cache.store(NewEntry {
            wanted: wanted(number),
            lineage: Vec::new(),
            layer: Some((layer, bytes)),
        });
    }
    cache.finish().await;
    let told = lab.told();
    assert_eq!(told.matches("is not kept").count(), 1, "{told}");
    assert!(told.contains("403"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_cannot_be_read_is_not_asked_for_every_key() {
    let lab = Lab::new();
    let denied = Action::error(403, "DENIED", "not for you");
    lab.registry.fail(Fault::new(
        When::next("GET", "/manifests/").always(),
        denied,
    ));
    let cache = lab.cache(&lab.open()).await;
    assert!(look(&cache, &wanted(0)).await.is_none());
    let all: Vec<Wanted> = (1..50).map(wanted).collect();
    assert!(cache.lookup(&all).await.unwrap().is_empty());
    assert_eq!(cache.rejected(), BTreeMap::from([(Reason::Unreachable, 1)]));
    assert_eq!(lab.told().matches("is not used").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_not_there_is_a_miss() {
    let lab = Lab::new();
    let mut settings = lab.open();
    let nobody: Reference = "127.0.0.1:1/app/cache".parse().unwrap();
    settings.place = CachePlace::Repository(Box::new(nobody));
    let mut cache = lab.cache(&settings).await;
    assert!(look(&cache, &wanted(1)).await.is_none());
    cache.store(NewEntry {
        wanted: wanted(1),
        lineage: Vec::new(),
        layer: None,
    });
    cache.finish().await;
    assert!(lab.told().contains("is not kept"));
}

/// T-CACHE-24
#[tokio::test(flavor = "multi_thread")]
async fn of_two_builds_that_keep_the_same_step_one_wins_whole() {
    let lab = Lab::new();
    let settings = lab.signed();
    let mut layers = Vec::new();
    let mut caches = Vec::new();
    for number in 0..4_u8 {
        let mut cache = lab.cache(&settings).await;
        for step in 0..8 {
            let (layer, bytes) = layer(&[number, u8::try_from(step).unwrap()]);
            layers.push((wanted(step).key, layer.clone()));
            cache.store(NewEntry {
                wanted: wanted(step),
                lineage: Vec::new(),
                layer: Some((layer, bytes)),
            });
        }
        caches.push(cache);
    }
    let all: Vec<Wanted> = (0..8).map(wanted).collect();
    let reader = lab.cache(&lab.reader()).await;
    let check = |hits: &BTreeMap<CacheKey, Hit>| {
        for (key, hit) in hits {
            let found = (*key, hit.layer.clone().unwrap());
            assert!(layers.contains(&found), "{found:?}");
        }
    };
    for cache in &mut caches {
        check(&reader.lookup(&all).await.unwrap());
        cache.finish().await;
    }
    let hits = reader.lookup(&all).await.unwrap();
    check(&hits);
    assert_eq!(hits.len(), 8);
    assert!(reader.rejected().is_empty());
}
