//! Pushing to a registry that does what registries do, and what they should not.

use std::io::Write;
use std::time::Duration;

use crate::support::*;
use kigumi_oci::{Digest, MediaType};
use kigumi_registry::{BlobSource, Client, ClientConfig, Error, PushOutcome, Spool, Timeouts};
use kigumi_testkit::{
    Action, Authentication, FakeRegistry, Fault, Mounts, PublishedImage, TestImage, When,
};

const SIZE: usize = 700_000;

fn source(spool: &Spool) -> BlobSource {
    BlobSource {
        spool: spool.clone(),
        mount_from: Vec::new(),
    }
}

const UPLOADED: PushOutcome = PushOutcome::Uploaded { bytes: SIZE as u64 };

/// Pushes a blob whose spool is written only while the upload runs.
async fn push_growing(
    client: &Client,
    registry: &FakeRegistry,
    blob: &[u8],
) -> Result<PushOutcome, Error> {
    let (_directory, mut writer, spool) = spool();
    let blob = blob.to_vec();
    let writing = tokio::task::spawn_blocking(move || {
        for piece in blob.chunks(50_000) {
            writer.write_all(piece).unwrap();
        }
        writer.finish(Digest::of(&blob), blob.len() as u64).unwrap();
    });
    let outcome = client
        .push_blob(&repository(registry, "app"), &source(&spool))
        .await;
    writing.await.unwrap();
    outcome
}

#[tokio::test]
async fn a_blob_is_uploaded_in_one_stream_while_it_grows() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let (_directory, mut writer, spool) = spool();
    let blob = bytes(SIZE);
    let (first, second) = blob.split_at(300_000);
    writer.write_all(first).unwrap();
    let app = repository(&registry, "app");
    let growing = source(&spool);
    let push = client.push_blob(&app, &growing);
    let (second, digest) = (second.to_vec(), Digest::of(&blob));
    let finish = async {
        // The upload runs before the digest is known.
        while registry.begun("PATCH") == 0 {
            tokio::task::yield_now().await;
        }
        writer.write_all(&second).unwrap();
        writer.finish(digest, SIZE as u64).unwrap();
    };
    let (outcome, ()) = tokio::join!(push, finish);
    assert_eq!(outcome.unwrap(), UPLOADED);
    assert!(registry.blob("app", digest).unwrap() == blob);
    let patches = registry.requests("PATCH");
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0].header("transfer-encoding"), Some("chunked"));
    assert_eq!(patches[0].header("content-range"), None);
    assert_eq!(registry.requests("HEAD").len(), 0);
}

#[tokio::test]
async fn a_finished_blob_is_looked_for_first_and_sent_with_its_length() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let blob = bytes(SIZE);
    let spool = full_spool(&blob);
    let app = repository(&registry, "app");
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        outcomes.push(client.push_blob(&app, &source(&spool)).await.unwrap());
    }
    assert_eq!(outcomes, [UPLOADED, PushOutcome::Existed]);
    let patches = registry.requests("PATCH");
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0].header("content-length"), Some("700000"));
}

#[tokio::test]
async fn an_empty_blob_is_uploaded_too() {
    let registry = FakeRegistry::start();
    let spool = Spool::of_bytes(Vec::new());
    let outcome = client()
        .await
        .push_blob(&repository(&registry, "app"), &source(&spool))
        .await;
    assert_eq!(outcome.unwrap(), PushOutcome::Uploaded { bytes: 0 });
    assert!(registry.has_blob("app", Digest::of(b"")));
}

/// T-PUSH-09.
#[tokio::test]
async fn a_blob_of_a_neighbour_is_mounted() {
    let registry = FakeRegistry::start();
    let elsewhere = FakeRegistry::start();
    let blob = bytes(SIZE);
    let digest = registry.put_blob("base", &blob);
    let source = BlobSource {
        spool: full_spool(&blob),
        mount_from: vec![
            repository(&elsewhere, "base"),
            repository(&registry, "base"),
        ],
    };
    let outcome = client()
        .await
        .push_blob(&repository(&registry, "app"), &source)
        .await;
    assert_eq!(outcome.unwrap(), PushOutcome::Mounted);
    assert!(registry.has_blob("app", digest));
    assert_eq!(elsewhere.log(), []);
}

/// T-PUSH-05: the upload that a refused mount opens is used.
#[tokio::test]
async fn a_refused_mount_becomes_an_upload() {
    let registry = FakeRegistry::builder().mounts(Mounts::Refused).start();
    let blob = bytes(SIZE);
    registry.put_blob("base", &blob);
    let source = BlobSource {
        spool: full_spool(&blob),
        mount_from: vec![repository(&registry, "base")],
    };
    let outcome = client()
        .await
        .push_blob(&repository(&registry, "app"), &source)
        .await;
    assert_eq!(outcome.unwrap(), UPLOADED);
    assert_eq!(registry.requests("POST").len(), 1);
}

/// T-PUSH-12, T-PUSH-11.
#[tokio::test]
async fn an_upload_that_fails_is_made_again_from_the_start() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let busy = || Action::error(429, "TOOMANYREQUESTS", "slow down");
    let lost = || Action::error(404, "BLOB_UPLOAD_UNKNOWN", "session lost");
    let broken = || Action::error(502, "UNKNOWN", "bad gateway");
    let cases = [
        ("POST", "/blobs/uploads/", busy()),
        ("PATCH", "/blobs/uploads/", busy()),
        ("PATCH", "/blobs/uploads/", lost()),
        ("PATCH", "/blobs/uploads/", Action::DropRequestAfter(0)),
        ("PATCH", "/blobs/uploads/", Action::DropRequestAfter(3_000)),
        (
            "PATCH",
            "/blobs/uploads/",
            Action::DropRequestAfter(500_000),
        ),
        ("PUT", "/blobs/uploads/", broken()),
        ("PUT", "/blobs/uploads/", lost()),
        ("PUT", "/blobs/uploads/", Action::DropRequestAfter(0)),
    ];
    for (number, (method, path, action)) in cases.into_iter().enumerate() {
        let mut blob = bytes(SIZE);
        blob[0] = u8::try_from(number).unwrap();
        registry.fail(Fault::new(
            When::next(method, path).times(2),
            action.clone(),
        ));
        let outcome = push_growing(&client, &registry, &blob).await;
        assert_eq!(outcome.unwrap(), UPLOADED, "{method} {action:?}");
        assert!(registry.blob("app", Digest::of(&blob)).unwrap() == blob);
        registry.heal();
    }
}

/// T-PUSH-11: three attempts are three for each of the requests that have to go well one after the other.
#[tokio::test]
async fn every_part_of_an_upload_may_fail_as_often_as_a_single_request() {
    let registry = FakeRegistry::start();
    let client = client().await;
    for method in ["POST", "PATCH", "PUT"] {
        let unwell = Action::error(503, "UNAVAILABLE", "not now");
        let when = When::next(method, "/blobs/uploads/").times(2);
        registry.fail(Fault::new(when, unwell));
    }
    let blob = bytes(SIZE);
    let outcome = push_growing(&client, &registry, &blob).await;
    assert_eq!(outcome.unwrap(), UPLOADED);
    assert!(registry.blob("app", Digest::of(&blob)).unwrap() == blob);
}

#[tokio::test]
async fn an_upload_is_taken_up_though_the_question_how_far_it_got_failed_once() {
    let registry = FakeRegistry::start();
    let client = client().await;
    for method in ["PUT", "GET"] {
        let unwell = Action::error(503, "UNAVAILABLE", "not now");
        let when = When::next(method, "/blobs/uploads/");
        registry.fail(Fault::new(when, unwell));
    }
    let blob = bytes(SIZE);
    let outcome = push_growing(&client, &registry, &blob).await;
    assert_eq!(outcome.unwrap(), UPLOADED);
    assert_eq!(registry.requests("PATCH").len(), 1);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_done() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let blob = bytes(SIZE);
    let spool = full_spool(&blob);
    // The blob is stored, the answer never comes.
    let when = When::next("PUT", "/blobs/uploads/");
    registry.fail(Fault::new(when, Action::DropAfter(0)));
    let outcome = client
        .push_blob(&repository(&registry, "app"), &source(&spool))
        .await
        .unwrap();
    assert!(matches!(
        outcome,
        PushOutcome::Existed | PushOutcome::Uploaded { .. }
    ));
    assert!(registry.has_blob("app", Digest::of(&blob)));
}

#[tokio::test]
async fn a_registry_that_refuses_a_stream_gets_one_put() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let refusals = [
        (405, "UNSUPPORTED"),
        (411, "SIZE_INVALID"),
        (400, "BLOB_UPLOAD_INVALID"),
        (501, "UNSUPPORTED"),
    ];
    for (status, code) in refusals {
        let mut blob = bytes(SIZE);
        blob[0] = u8::try_from(status % 256).unwrap();
        registry.clear_log();
        let action = Action::error(status, code, "no streams");
        registry.fail(Fault::new(When::next("PATCH", "").always(), action));
        let outcome = push_growing(&client, &registry, &blob).await;
        assert_eq!(outcome.unwrap(), UPLOADED, "{status}");
        assert_eq!(registry.requests("PATCH").len(), 1);
        let puts = registry.requests("PUT");
        assert_eq!(puts[0].header("content-length"), Some("700000"));
        registry.heal();
    }
}

#[tokio::test]
async fn a_denied_upload_is_not_tried_again_and_says_why() {
    let registry = FakeRegistry::start();
    let action = Action::error(403, "DENIED", "this project is read-only");
    registry.fail(Fault::new(When::next("POST", "").always(), action));
    let error = push_growing(&client().await, &registry, &bytes(SIZE))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("HTTP 403 DENIED: this project is read-only"),
        "{text}"
    );
    assert_eq!(registry.requests("POST").len(), 1);
}

#[tokio::test]
async fn a_source_that_fails_ends_the_push_with_its_own_error() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let (_directory, mut writer, spool) = spool();
    writer.write_all(&bytes(SIZE)).unwrap();
    let app = repository(&registry, "app");
    let growing = source(&spool);
    let push = client.push_blob(&app, &growing);
    let fail = async {
        while registry.begun("PATCH") == 0 {
            tokio::task::yield_now().await;
        }
        let cause = std::io::Error::other("no space left for the layer");
        writer.fail(std::sync::Arc::new(cause));
    };
    let (outcome, ()) = tokio::join!(push, fail);
    let text = chain(&outcome.unwrap_err());
    assert!(text.contains("no space left for the layer"), "{text}");
    // No half blob was committed.
    assert_eq!(registry.requests("PUT"), []);
}

#[tokio::test]
async fn hostile_upload_locations_get_no_bytes() {
    let registry = FakeRegistry::start();
    let elsewhere = FakeRegistry::start();
    let client = client().await;
    for location in [
        "http://169.254.169.254/upload",
        "http://0.0.0.0:9/upload",
        "file:///tmp/upload",
        "http://user:pw@127.0.0.1/",
    ] {
        let headers = vec![("Location".to_owned(), location.to_owned())];
        let when = When::next("POST", "/blobs/uploads/");
        registry.fail(Fault::new(when, Action::WithHeaders(headers)));
        let error = push_growing(&client, &registry, &bytes(SIZE))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::RefusedUrl { .. }), "{error}");
    }
    let when = When::next("POST", "/blobs/uploads/");
    let headers = vec![("Location".to_owned(), String::new())];
    registry.fail(Fault::new(when, Action::WithHeaders(headers)));
    push_growing(&client, &registry, &bytes(SIZE))
        .await
        .unwrap_err();
    assert_eq!(registry.requests("PATCH"), []);
    assert_eq!(elsewhere.log(), []);
}

/// GHSA-jxpm-75mh-9fp7: an upload that goes on at another host goes without credentials.
#[tokio::test]
async fn an_upload_elsewhere_takes_no_credentials_along() {
    let registry = FakeRegistry::builder()
        .authentication(Authentication::token("me", "hunter2"))
        .start();
    let elsewhere = FakeRegistry::start();
    let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
    let away = format!(
        "http://{}/v2/app/blobs/uploads/x?_state=opaque%3D",
        elsewhere.authority()
    );
    let headers = vec![("Location".to_owned(), away)];
    // From here on the token is known, and goes with every request.
    let app = reference(&registry, "app:1");
    client.check_push_permission(&app).await.unwrap();
    let when = When::next("POST", "/blobs/uploads/");
    registry.fail(Fault::new(when, Action::WithHeaders(headers)));
    drop(push_growing(&client, &registry, &bytes(SIZE)).await);
    let log = elsewhere.log();
    assert!(!log.is_empty());
    assert!(
        log.iter().all(|r| r.header("authorization").is_none()),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_registry_that_stored_something_else_is_not_believed() {
    let registry = FakeRegistry::start();
    let other = Digest::of(b"other").to_string();
    let headers = vec![("Docker-Content-Digest".to_owned(), other)];
    let when = When::next("PUT", "/blobs/uploads/");
    registry.fail(Fault::new(when, Action::WithHeaders(headers)));
    let error = push_growing(&client().await, &registry, &bytes(SIZE))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn an_upload_stalls_by_the_network_and_not_by_its_source() {
    let registry = FakeRegistry::start();
    // Longer than any pause that a busy machine makes: exactly one answer is to be missed.
    let stall = Duration::from_secs(1);
    let client = Client::start(ClientConfig {
        timeouts: Timeouts {
            stall,
            commit: stall,
            ..Timeouts::default()
        },
        ..config()
    })
    .await
    .unwrap();
    // The answer to the first PATCH never comes.
    let when = When::next("PATCH", "");
    registry.fail(Fault::new(when, Action::StallAfter(0)));
    let blob = bytes(SIZE);
    let (_directory, mut writer, spool) = spool();
    let writing = tokio::task::spawn_blocking({
        let blob = blob.clone();
        move || {
            // A slow source: each pause is longer than the network's patience.
            for piece in blob.chunks(SIZE / 2) {
                writer.write_all(piece).unwrap();
                std::thread::sleep(stall * 2);
            }
            writer.finish(Digest::of(&blob), SIZE as u64).unwrap();
        }
    });
    let outcome = client
        .push_blob(&repository(&registry, "app"), &source(&spool))
        .await;
    writing.await.unwrap();
    assert_eq!(outcome.unwrap(), UPLOADED);
    assert!(registry.has_blob("app", Digest::of(&blob)));
    // All bytes had arrived, and the registry says so when it is asked.
    assert_eq!(registry.requests("PATCH").len(), 1);
}

async fn push_image(
    client: &Client,
    registry: &FakeRegistry,
    image: &PublishedImage,
    target: &str,
) -> Result<Digest, Error> {
    let reference = reference(registry, target);
    let app = repository(registry, "app");
    for blob in image
        .blobs
        .iter()
        .map(Vec::as_slice)
        .chain([image.config.bytes()])
    {
        client
            .push_blob(&app, &source(&Spool::of_bytes(blob.to_vec())))
            .await?;
    }
    let media_type = image.manifest.value().media_type.clone().unwrap();
    client
        .push_manifest(&reference, &media_type, image.manifest.bytes())
        .await
}

#[tokio::test]
async fn a_manifest_is_pushed_byte_for_byte_by_tag_and_by_digest() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let image = TestImage::new().file("a", b"1").build();
    let digest = image.manifest.digest();
    for target in ["app:1".to_owned(), format!("app@{digest}")] {
        let pushed = push_image(&client, &registry, &image, &target).await;
        assert_eq!(pushed.unwrap(), digest);
    }
    let (media_type, stored) = registry.manifest("app", "1").unwrap();
    assert_eq!(media_type, MediaType::ImageManifest.to_string());
    assert_eq!(stored, image.manifest.bytes());
    let puts = registry.requests("PUT");
    let by = |agent: &str| {
        let is = |r: &&kigumi_testkit::LoggedRequest| {
            r.path.contains("/manifests/") && r.header("user-agent") == Some(agent)
        };
        puts.iter().filter(is).count()
    };
    // By tag through oci-client, by digest through our own request: both say who we are.
    assert_eq!(by(concat!("kigumi/", env!("CARGO_PKG_VERSION"))), 2);
}

#[tokio::test]
async fn a_manifest_push_is_tried_again_and_its_refusal_is_told() {
    let registry = FakeRegistry::start();
    let client = client().await;
    let image = TestImage::new().file("a", b"1").build();
    let busy = Action::error(503, "UNAVAILABLE", "later");
    registry.fail(Fault::new(When::next("PUT", "/manifests/").times(3), busy));
    push_image(&client, &registry, &image, "app:1")
        .await
        .unwrap();

    // A manifest before its blobs.
    let other = TestImage::new().file("b", b"2").build();
    let error = client
        .push_manifest(
            &reference(&registry, "app:2"),
            &MediaType::ImageManifest,
            other.manifest.bytes(),
        )
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("MANIFEST_BLOB_UNKNOWN"),
        "{error}"
    );
    assert!(registry.manifest("app", "2").is_none());
}

#[tokio::test]
async fn the_permission_to_push_is_known_before_the_build() {
    let registry = FakeRegistry::builder()
        .authentication(Authentication::token("me", "hunter2").with_anonymous_pull())
        .start();
    let app = reference(&registry, "app:1");
    let allowed = client_with(&user(registry.authority(), "me", "hunter2")).await;
    allowed.check_push_permission(&app).await.unwrap();
    let last = registry.log().pop().unwrap();
    assert_eq!((last.method.as_str(), last.status), ("DELETE", 204));

    let error = client()
        .await
        .check_push_permission(&app)
        .await
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "check the permission to push to",
        registry.authority(),
        "no credentials for",
    ] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

#[tokio::test]
async fn a_blob_is_copied_within_a_registry_and_between_two() {
    let from = FakeRegistry::start();
    let to = FakeRegistry::start();
    let client = client().await;
    let directory = tempfile::tempdir().unwrap();
    let blob = bytes(SIZE);
    from.put_blob("base", &blob);
    let descriptor = layer(&blob);
    let copy = async |from: &FakeRegistry, to: &FakeRegistry| {
        let (from, to) = (repository(from, "base"), repository(to, "app"));
        let copied = client.copy_blob(&from, &to, &descriptor, directory.path());
        copied.await.map_err(|error| chain(&*error))
    };
    assert_eq!(copy(&from, &from).await, Ok(PushOutcome::Mounted));
    assert_eq!(copy(&from, &to).await, Ok(UPLOADED));
    assert_eq!(copy(&from, &to).await, Ok(PushOutcome::Existed));
    assert!(to.blob("app", descriptor.digest).unwrap() == blob);
}

#[tokio::test]
async fn a_copy_of_a_corrupted_blob_is_not_committed() {
    let from = FakeRegistry::start();
    let to = FakeRegistry::start();
    let blob = bytes(SIZE);
    from.put_blob("base", &blob);
    from.fail(Fault::new(
        When::next("GET", "/blobs/").always(),
        Action::Flip(SIZE - 1),
    ));
    let directory = tempfile::tempdir().unwrap();
    let error = client()
        .await
        .copy_blob(
            &repository(&from, "base"),
            &repository(&to, "app"),
            &layer(&blob),
            directory.path(),
        )
        .await
        .unwrap_err();
    assert!(matches!(*error, Error::Content { .. }), "{error}");
    assert_eq!(to.requests("PUT"), []);
}
