use kigumi_layer::FinishedOutline;

use super::super::outlines::{LayerName, NewOutline, OutlineShelf};
use super::*;

fn name(number: u8) -> LayerName {
    LayerName {
        digest: Digest::of(&[number]),
        diff_id: DiffId(Digest::of(&[number, number])),
    }
}

/// What it holds does not matter to the cache.
fn outline(layer: LayerName) -> NewOutline {
    let bytes = b"an outline".to_vec();
    NewOutline {
        layer,
        finished: FinishedOutline {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        },
        spool: Spool::of_bytes(bytes),
    }
}

impl Lab {
    async fn keep_outline(&self, settings: &CacheSettings, layer: LayerName) {
        let mut cache = self.cache(settings).await;
        cache.store_outline(outline(layer));
        cache.finish().await;
    }

    /// Why it is not found; nothing if it is.
    async fn seek(&self, settings: &CacheSettings, layer: LayerName) -> Option<Vec<Reason>> {
        let cache = self.cache(settings).await;
        let found = cache.look_for_outlines(vec![(layer, None)]).await.unwrap();
        let work = self.directory.path();
        let fetched = cache.fetch_outlines(found.into_iter().collect(), work);
        let fetched = fetched.await.unwrap();
        if fetched.contains_key(&layer) {
            return None;
        }
        Some(cache.rejected().into_keys().collect())
    }

    /// The tags that were written, and those that were asked for.
    fn tags(&self, method: &str) -> Vec<String> {
        let requests = self.registry.requests(method).into_iter();
        let manifests = requests.filter(|request| request.path.contains("/manifests/"));
        let tag = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        manifests.map(|request| tag(&request.path)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outline_is_found_by_who_believes_its_key() {
    let lab = Lab::new();
    lab.keep_outline(&lab.signed(), name(1)).await;
    assert_eq!(lab.seek(&lab.signed(), name(1)).await, None);
    assert_eq!(lab.seek(&lab.reader(), name(1)).await, None);
    let fork = CacheSettings {
        domain: "fork".to_owned(),
        ..lab.reader()
    };
    for (settings, layer) in [
        (lab.open(), name(1)),
        (fork, name(1)),
        (lab.reader(), name(2)),
    ] {
        assert_eq!(lab.seek(&settings, layer).await, Some(vec![]));
    }
    lab.keep_outline(&lab.open(), name(2)).await;
    assert_eq!(lab.seek(&lab.open(), name(2)).await, None);
    assert_eq!(lab.seek(&lab.reader(), name(2)).await, Some(vec![]));
    let other = CacheSettings {
        verify_keys: vec![lab.key("main-1", 2, false)],
        ..lab.reader()
    };
    let seen = lab.seek(&other, name(1)).await;
    assert_eq!(seen, Some(vec![Reason::Signature]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_with_another_content_are_another_layer() {
    let lab = Lab::new();
    lab.keep_outline(&lab.open(), name(1)).await;
    let mixed = LayerName {
        diff_id: name(2).diff_id,
        ..name(1)
    };
    assert_eq!(lab.seek(&lab.open(), mixed).await, Some(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_moved_is_of_another_layer() {
    let lab = Lab::new();
    lab.keep_outline(&lab.signed(), name(1)).await;
    let written = lab.tags("PUT");
    assert_eq!(lab.seek(&lab.reader(), name(2)).await, Some(vec![]));
    let asked = lab.tags("GET").pop().unwrap();
    let (media_type, manifest) = lab.registry.manifest("app/cache", &written[0]).unwrap();
    lab.registry
        .put_manifest("app/cache", Some(&asked), &media_type, &manifest);
    let seen = lab.seek(&lab.reader(), name(2)).await;
    assert_eq!(seen, Some(vec![Reason::Key]));
    // And an entry of a step is none of an outline.
    lab.store(&lab.signed(), &wanted(1), b"made").await;
    let step = lab.tags("PUT").pop().unwrap();
    let (media_type, manifest) = lab.registry.manifest("app/cache", &step).unwrap();
    lab.registry
        .put_manifest("app/cache", Some(&asked), &media_type, &manifest);
    let seen = lab.seek(&lab.reader(), name(2)).await;
    assert_eq!(seen, Some(vec![Reason::Type]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outline_expires_as_everything_else() {
    let lab = Lab::new();
    let mut cache = lab.cache_at(&lab.open(), NOW - 337 * HOUR).await;
    cache.store_outline(outline(name(1)));
    cache.finish().await;
    let seen = lab.seek(&lab.open(), name(1)).await;
    assert_eq!(seen, Some(vec![Reason::Expired]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outline_that_is_not_what_was_signed_is_not_used() {
    use kigumi_testkit::{Action, Fault, When};
    for (action, reason) in [
        (Action::Flip(3), Reason::Digest),
        (Action::error(404, "BLOB_UNKNOWN", "gone"), Reason::Digest),
        (Action::DropAfter(0), Reason::Unreachable),
    ] {
        let lab = Lab::new();
        lab.keep_outline(&lab.signed(), name(1)).await;
        let fault = Fault::new(When::next("GET", "/blobs/").always(), action);
        lab.registry.fail(fault);
        let seen = lab.seek(&lab.reader(), name(1)).await;
        assert_eq!(seen, Some(vec![reason]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_makes_no_sense_ends_the_build_where_that_is_wanted() {
    let lab = Lab::new();
    let strict = CacheSettings {
        tamper: Tamper::Fail,
        ..lab.open()
    };
    let wrong = || "it is no outline".to_owned();
    let cache = lab.cache(&strict).await;
    cache.reject_outline(&name(1), wrong()).unwrap_err();
    let cache = lab.cache(&lab.open()).await;
    cache.reject_outline(&name(1), wrong()).unwrap();
    assert_eq!(cache.rejected(), BTreeMap::from([(Reason::Outline, 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_beside_the_base_is_asked_first_and_believed_no_more_than_the_cache() {
    let lab = Lab::new();
    let beside = lab.directory.path().join("outlines");
    let cache = lab.cache(&lab.signed()).await;
    let events = cache.places[0].events.clone();
    let shelf = OutlineShelf::open(&lab.signed(), events, NOW).unwrap();
    shelf.put(&beside, outline(name(1))).await;
    assert!(shelf.has(&beside, &name(1)).await && !shelf.has(&beside, &name(2)).await);
    for (settings, is_found) in [(lab.reader(), true), (lab.open(), false)] {
        lab.registry.clear_log();
        let cache = lab.cache(&settings).await;
        let wanted = vec![(name(1), Some(beside.clone()))];
        let found = cache.look_for_outlines(wanted).await.unwrap();
        assert_eq!(found.contains_key(&name(1)), is_found);
        let asked = lab.registry.requests("GET").len();
        assert_eq!(asked == 0, is_found, "the registry is asked only then");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_only_read_is_not_written() {
    let lab = Lab::new();
    lab.keep_outline(&lab.reader(), name(1)).await;
    assert!(lab.registry.requests("PUT").is_empty());
}
