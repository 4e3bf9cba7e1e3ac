//! Pulling from a registry that does what registries do, and what they should not.

use crate::support::*;
use kigumi_oci::{Compression, Descriptor, Digest, ImageFormat, MediaType, media};
use kigumi_registry::{Client, ClientConfig, Error, Timeouts};
use kigumi_testkit::{Action, FakeRegistry, Fault, PublishedImage, TestImage, When};

async fn fetch(
    client: &Client,
    registry: &FakeRegistry,
    descriptor: &Descriptor,
) -> Result<Vec<u8>, String> {
    let (_directory, writer, spool) = spool();
    let base = repository(registry, "base");
    let fetched = client.fetch_blob(&base, descriptor, writer);
    let reading = tokio::task::spawn_blocking({
        let spool = spool.clone();
        move || read(&spool)
    });
    let outcome = fetched.await.map_err(|error| chain(&*error));
    let bytes = reading.await.unwrap();
    // Readers and the caller hear the same.
    assert_eq!(outcome.is_ok(), bytes.is_ok(), "{outcome:?}");
    outcome.map(|()| bytes.unwrap())
}

#[tokio::test]
async fn an_image_is_resolved_and_its_layers_fetched_in_every_format() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let cases = [
        (ImageFormat::Oci, Compression::Gzip),
        (ImageFormat::Oci, Compression::Zstd),
        (ImageFormat::Docker, Compression::Gzip),
        (ImageFormat::Docker, Compression::None),
    ];
    for (format, compression) in cases {
        let published = TestImage::new()
            .format(format)
            .compression(compression)
            .file("a", b"1")
            .file("b", b"2")
            .publish(&registry, "base", "1");
        let resolved = client
            .resolve(&reference(&registry, "base:1"), &amd64())
            .await
            .unwrap();
        assert_eq!(resolved.manifest, published.manifest);
        assert_eq!(resolved.config, published.config);
        assert_eq!(resolved.index_digest, None);
        assert_eq!(resolved.descriptor.digest, published.manifest.digest());
        for (descriptor, blob) in published.layers.iter().zip(&published.blobs) {
            assert!(fetch(&client, &registry, descriptor).await.unwrap() == *blob);
        }
    }
}

fn two_platforms(registry: &FakeRegistry) -> (PublishedImage, PublishedImage, Digest) {
    let image = |platform: &str| {
        TestImage::new()
            .platform(platform)
            .file("a", platform.as_bytes())
            .publish(registry, "base", &platform.replace('/', "-"))
    };
    let (amd64, arm64) = (image("linux/amd64"), image("linux/arm64"));
    let entries = vec![arm64.descriptor(), amd64.descriptor()];
    let index = TestImage::publish_index(registry, "base", "multi", entries);
    (amd64, arm64, index.digest())
}

#[tokio::test]
async fn an_index_leads_to_the_platform_and_says_which_there_are() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let (_, arm64, index) = two_platforms(&registry);
    let multi = reference(&registry, "base:multi");
    let resolved = client
        .resolve(&multi, &"linux/arm64/v8".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(resolved.manifest, arm64.manifest);
    assert_eq!(resolved.index_digest, Some(index));

    let by_digest = reference(&registry, &format!("base@{index}"));
    client.resolve(&by_digest, &amd64()).await.unwrap();

    let error = client
        .resolve(&multi, &"linux/s390x".parse().unwrap())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("linux/s390x") && text.contains("linux/arm64, linux/amd64"),
        "{text}"
    );
}

#[tokio::test]
async fn indexes_may_be_nested_four_deep_and_no_deeper() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let image = TestImage::new().publish(&registry, "base", "1");
    let mut entry = image.descriptor();
    for depth in 1..=5 {
        let platform = entry.platform.clone();
        let tag = format!("deep-{depth}");
        let index = TestImage::publish_index(&registry, "base", &tag, vec![entry]);
        entry = Descriptor::of(MediaType::ImageIndex, index.bytes());
        entry.platform = platform;
    }
    let resolve = async |tag: &str| {
        let reference = reference(&registry, &format!("base:{tag}"));
        client.resolve(&reference, &amd64()).await
    };
    resolve("deep-4").await.unwrap();
    let error = resolve("deep-5").await.unwrap_err();
    assert!(matches!(error, Error::NestedIndexes { .. }), "{error}");
}

#[tokio::test]
async fn a_manifest_that_is_not_what_was_asked_for_is_refused() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let image = TestImage::new()
        .file("a", b"1")
        .publish(&registry, "base", "1");
    let by_digest = format!("base@{}", image.manifest.digest());
    let flip = || Action::Flip(40);
    let html = Action::Answer {
        status: 200,
        headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        body: b"<html>".to_vec(),
    };
    let cases = [
        (by_digest.as_str(), flip()),
        // The header names the digest of the right bytes.
        ("base:1", flip()),
        ("base:1", html),
        (
            "base:1",
            Action::Answer {
                status: 200,
                headers: Vec::new(),
                body: Vec::new(),
            },
        ),
        ("base:1", Action::Append(vec![b' '; 4 * 1024 * 1024])),
    ];
    for (target, action) in cases {
        registry.fail(Fault::new(When::next("GET", "/manifests/"), action.clone()));
        let outcome = client
            .resolve(&reference(&registry, target), &amd64())
            .await;
        assert!(outcome.is_err(), "{target} {action:?}");
    }
    client
        .resolve(&reference(&registry, &by_digest), &amd64())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_config_that_does_not_fit_is_refused() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let published = TestImage::new()
        .file("a", b"1")
        .publish(&registry, "base", "1");
    let publish = |tag: &str, change: &dyn Fn(&mut kigumi_oci::Manifest)| {
        let mut manifest = published.manifest.value().clone();
        change(&mut manifest);
        let bytes = serde_json::to_vec(&manifest).unwrap();
        registry.put_manifest("base", Some(tag), media::OCI_MANIFEST, &bytes);
    };
    publish("layers", &|manifest| manifest.layers.clear());
    publish("size", &|manifest| manifest.config.size += 1);
    publish("huge", &|manifest| manifest.config.size = 1 << 62);
    publish("artifact", &|manifest| {
        manifest.config.media_type = MediaType::EmptyJSON;
    });
    publish("text", &|manifest| {
        registry.put_blob("base", b"text");
        manifest.config = Descriptor::of(MediaType::ImageConfig, b"text");
    });
    for tag in ["layers", "size", "huge", "artifact", "text"] {
        let reference = reference(&registry, &format!("base:{tag}"));
        assert!(client.resolve(&reference, &amd64()).await.is_err(), "{tag}");
    }
}

#[tokio::test]
async fn an_unknown_image_is_named_with_the_registry_s_own_words() {
    let registry = FakeRegistry::start();
    let error = client()
        .await
        .resolve(&reference(&registry, "nothing:1"), &amd64())
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(404));
    let text = error.to_string();
    for part in [
        registry.reference("nothing").as_str(),
        "fetch manifest `1`",
        "HTTP 404 MANIFEST_UNKNOWN",
        "without credentials",
    ] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

/// T-PUSH-11: interrupted transfers resume.
#[tokio::test]
async fn a_download_goes_on_where_it_broke() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let blob = bytes(1_000_000);
    registry.put_blob("base", &blob);
    let when = || When::next("GET", "/blobs/");
    registry.fail(Fault::new(when(), Action::DropAfter(300_000)));
    registry.fail(Fault::new(
        when(),
        Action::error(503, "UNAVAILABLE", "later"),
    ));
    assert!(fetch(&client, &registry, &layer(&blob)).await.unwrap() == blob);
    let ranges: Vec<_> = registry
        .requests("GET")
        .iter()
        .filter(|request| request.path.contains("/blobs/"))
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    let resumed = Some("bytes=300000-".to_owned());
    assert_eq!(ranges, [None, resumed.clone(), resumed]);
}

#[tokio::test]
async fn a_registry_without_ranges_sends_all_of_it_again() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let blob = bytes(1_000_000);
    registry.put_blob("base", &blob);
    registry.fail(Fault::new(
        When::next("GET", "/blobs/"),
        Action::DropAfter(300_000),
    ));
    let whole = Action::Answer {
        status: 200,
        headers: Vec::new(),
        body: blob.clone(),
    };
    registry.fail(Fault::new(When::next("GET", "/blobs/"), whole));
    assert!(fetch(&client, &registry, &layer(&blob)).await.unwrap() == blob);
}

#[tokio::test]
async fn no_corrupted_blob_is_accepted() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let blob = bytes(10_000);
    registry.put_blob("base", &blob);
    let answer = |body: &[u8]| Action::Answer {
        status: 200,
        headers: Vec::new(),
        body: body.to_vec(),
    };
    let mut longer = blob.clone();
    longer.push(0);
    let mut actions = vec![
        Action::Append(vec![0]),
        Action::Append(vec![0; 1_000_000]),
        answer(&blob[..9_999]),
        answer(&longer),
        answer(b""),
        answer(b"<html>"),
    ];
    // A sweep over the blob.
    actions.extend((0..200).map(|n| Action::Flip(n * 50)));
    for action in actions {
        registry.fail(Fault::new(
            When::next("GET", "/blobs/").times(3),
            action.clone(),
        ));
        let outcome = fetch(&client, &registry, &layer(&blob)).await;
        assert!(outcome.is_err(), "{action:?}");
        registry.heal();
    }
}

#[tokio::test]
async fn a_blob_of_another_size_than_its_descriptor_is_refused_before_it_is_read() {
    let registry = FakeRegistry::start();
    let blob = bytes(1000);
    registry.put_blob("base", &blob);
    for size in [999, 1001, 1 << 62] {
        let mut descriptor = layer(&blob);
        descriptor.size = size;
        let error = fetch(&client().await, &registry, &descriptor)
            .await
            .unwrap_err();
        assert!(error.contains("its descriptor says"), "{error}");
    }
}

#[tokio::test]
async fn attempts_come_to_an_end() {
    let registry = FakeRegistry::start();
    let blob = bytes(1000);
    registry.put_blob("base", &blob);
    let action = Action::error(429, "TOOMANYREQUESTS", "slow down");
    registry.fail(Fault::new(When::next("GET", "/blobs/").always(), action));
    let error = fetch(&client().await, &registry, &layer(&blob))
        .await
        .unwrap_err();
    assert!(
        error.contains("HTTP 429 TOOMANYREQUESTS: slow down"),
        "{error}"
    );
    assert_eq!(
        registry
            .requests("GET")
            .iter()
            .filter(|r| r.path.contains("/blobs/"))
            .count(),
        3
    );
}

#[tokio::test]
async fn a_transfer_that_stalls_is_taken_up_again() {
    let registry = FakeRegistry::start();
    let client = Client::start(ClientConfig {
        timeouts: Timeouts {
            stall: std::time::Duration::from_millis(300),
            ..Timeouts::default()
        },
        ..config()
    })
    .await
    .unwrap();
    let blob = bytes(10_000);
    registry.put_blob("base", &blob);
    registry.fail(Fault::new(
        When::next("GET", "/blobs/"),
        Action::StallAfter(5_000),
    ));
    assert!(fetch(&client, &registry, &layer(&blob)).await.unwrap() == blob);
}

#[tokio::test]
async fn redirects_are_followed_ten_times_and_without_credentials_elsewhere() {
    let registry = FakeRegistry::builder()
        .authentication(kigumi_testkit::Authentication::token("me", "hunter2"))
        .start();
    let storage = FakeRegistry::start();
    let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
    let blob = bytes(1000);
    let digest = registry.put_blob("base", &blob);
    storage.put_blob("storage", &blob);
    let there = format!("http://{}/v2/storage/blobs/{digest}", storage.authority());
    // The first request is the one that is challenged.
    let when = When::next("GET", "/blobs/").after(1);
    registry.fail(Fault::new(when, Action::redirect(307, &there)));
    assert!(fetch(&client, &registry, &layer(&blob)).await.unwrap() == blob);
    assert!(
        storage
            .log()
            .iter()
            .all(|r| r.header("authorization").is_none())
    );
    assert_eq!(storage.requests("GET").len(), 1);

    // There and back again: the credentials are not taken up again either.
    let back = format!("http://{}/v2/base/blobs/{digest}", registry.authority());
    registry.clear_log();
    registry.fail(Fault::new(
        When::next("GET", "/blobs/"),
        Action::redirect(302, &there),
    ));
    storage.fail(Fault::new(
        When::next("GET", "/blobs/"),
        Action::redirect(302, &back),
    ));
    drop(fetch(&client, &registry, &layer(&blob)).await);
    let log = registry.requests("GET");
    assert!(log[0].header("authorization").is_some());
    assert!(log[1].header("authorization").is_none(), "{log:?}");

    let again = Fault::new(
        When::next("GET", "/blobs/").always(),
        Action::redirect(302, &back),
    );
    registry.fail(again);
    let error = fetch(&client, &registry, &layer(&blob)).await.unwrap_err();
    assert!(error.contains("more than 10 redirects"), "{error}");
}

#[tokio::test]
async fn redirects_to_forbidden_places_are_refused() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let blob = bytes(1000);
    registry.put_blob("base", &blob);
    for place in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0:1/",
        "http://[::]/",
        "ftp://example.test/",
        "http://user:pw@127.0.0.1/",
        "https://[",
    ] {
        registry.fail(Fault::new(
            When::next("GET", "/blobs/"),
            Action::redirect(302, place),
        ));
        let error = fetch(&client, &registry, &layer(&blob)).await.unwrap_err();
        assert!(error.contains("it points to"), "{place}: {error}");
    }
}

#[tokio::test]
async fn foreign_urls_of_a_layer_are_never_asked() {
    let registry = FakeRegistry::start();
    let elsewhere = FakeRegistry::start();
    let blob = bytes(1000);
    let digest = elsewhere.put_blob("x", &blob);
    let mut descriptor = layer(&blob);
    let url = format!("http://{}/v2/x/blobs/{digest}", elsewhere.authority());
    descriptor.urls.push(url);
    fetch(&client().await, &registry, &descriptor)
        .await
        .unwrap_err();
    assert_eq!(elsewhere.log(), []);
}

#[tokio::test]
async fn the_size_of_a_blob_is_known_without_fetching_it() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let digest = registry.put_blob("base", &bytes(1234));
    let base = repository(&registry, "base");
    assert_eq!(client.blob_size(&base, digest).await.unwrap(), Some(1234));
    let unknown = Digest::of(b"unknown");
    assert_eq!(client.blob_size(&base, unknown).await.unwrap(), None);
    assert_eq!(registry.requests("HEAD").len(), 2);
}
