//! Registries and networks that fail: in the end the bytes are right, the log tells, and no credential is anywhere else.

use std::time::Duration;

use kigumi_oci::Digest;
use kigumi_registry::keychain::{DockerConfig, Helpers};
use kigumi_registry::{BlobSource, Client, ClientConfig, RetryPolicy, Timeouts};
use kigumi_testkit::{
    Action, Authentication, FakeRegistry, FakeRegistryBuilder, Fault, Mounts, TestImage, When,
};

use crate::heard::{heard, listen};
use crate::support::*;

const SIZE: usize = 700_000;
const PASSWORD: &str = "hunter2";

/// Something that goes wrong.
struct Case {
    name: &'static str,
    faults: Vec<Fault>,
    told: &'static str,
}

fn case(name: &'static str, told: &'static str, faults: Vec<Fault>) -> Case {
    Case { name, faults, told }
}

fn fault(method: &str, path: &str, action: Action) -> Fault {
    Fault::new(When::next(method, path), action)
}

fn error(status: u16) -> Action {
    Action::error(status, "UNAVAILABLE", "not now")
}

fn busy(retry_after: &str) -> Action {
    Action::Answer {
        status: 429,
        headers: vec![("Retry-After".to_owned(), retry_after.to_owned())],
        body: Vec::new(),
    }
}

/// A registry that wants tokens.
fn guarded() -> FakeRegistryBuilder {
    FakeRegistry::builder().authentication(Authentication::token("me", PASSWORD))
}

/// A client that knows the way into `registry`, and nowhere else.
async fn client(registry: &FakeRegistry) -> Client {
    let json = user(registry.authority(), "me", PASSWORD);
    let keychain = DockerConfig::parse("test.json", json.as_bytes(), Helpers::none()).unwrap();
    let stall = Duration::from_millis(300);
    Client::start(ClientConfig {
        keychain: std::sync::Arc::new(keychain),
        retry: RetryPolicy::immediate(4),
        timeouts: Timeouts {
            stall,
            commit: stall,
            ..Timeouts::default()
        },
        ..ClientConfig::default()
    })
    .await
    .unwrap()
}

fn assert_told(case: &Case) {
    let heard = heard();
    assert!(heard.contains(case.told), "{}: {heard}", case.name);
    let secret = [PASSWORD, "token-"].iter().any(|text| heard.contains(text));
    assert!(!secret, "{}: {heard}", case.name);
}

/// Nobody but the registry itself has seen a credential.
fn assert_anonymous(elsewhere: &FakeRegistry, name: &str) {
    for request in elsewhere.log() {
        let given = request.header("authorization");
        let query = format!("{:?}", request.query);
        assert_eq!(given, None, "{name}");
        assert!(
            !query.contains(PASSWORD) && !query.contains("token-"),
            "{name}"
        );
    }
}

async fn pull(client: &Client, registry: &FakeRegistry) -> Result<Vec<u8>, String> {
    let base = reference(registry, "base:1");
    let image = client.resolve(&base, &amd64()).await;
    let image = image.map_err(|error| chain(&error))?;
    let layer = only_layer(image.manifest.value());
    let (_directory, writer, spool) = spool();
    let fetched = client.fetch_blob(&image.repository, layer, writer).await;
    fetched.map_err(|error| chain(&*error))?;
    Ok(read(&spool).unwrap())
}

fn faults_of_pulls(elsewhere: &FakeRegistry, layer: &str) -> Vec<Case> {
    let get = |action| fault("GET", layer, action);
    let away = format!("http://{}/v2/storage/blobs/{layer}", elsewhere.authority());
    let closed = away.replace("/storage/", "/closed/");
    let always = When::next("GET", "/closed/").always();
    elsewhere.fail(Fault::new(always, error(503)));
    vec![
        case("429", "HTTP 429", vec![get(busy("1"))]),
        case(
            "429 until a date",
            "attempt 1 of 4",
            vec![get(busy("Sat, 21 Nov 2026 10:02:00 GMT"))],
        ),
        case("500", "HTTP 500", vec![get(error(500))]),
        case("502", "HTTP 502", vec![get(error(502))]),
        case(
            "503, twice",
            "attempt 2 of 4",
            vec![get(error(503)), get(error(503))],
        ),
        case("504", "done, after 1 failed", vec![get(error(504))]),
        case(
            "a reset",
            "no answer",
            vec![get(Action::DropRequestAfter(0))],
        ),
        case(
            "an early end",
            "attempt 1 of 4",
            vec![get(Action::DropAfter(300_000))],
        ),
        case(
            "silence",
            "nothing moved for",
            vec![get(Action::StallAfter(5_000))],
        ),
        case(
            "no ranges",
            "all of it is fetched again",
            vec![get(Action::DropAfter(300_000)), get(error(416))],
        ),
        case(
            "another range",
            "answers with others; all of it is fetched again",
            vec![get(Action::DropAfter(300_000)), get(other_range())],
        ),
        case(
            "a token that expires on the way",
            "attempt 1 of 4",
            vec![get(Action::DropAfter(300_000)), get(Action::ExpireTokens)],
        ),
        case("another host", "", vec![get(Action::redirect(307, &away))]),
        case(
            "another host that breaks",
            "attempt 1 of 4",
            vec![get(Action::redirect(307, &closed))],
        ),
        case(
            "a busy token server",
            "get a token from",
            vec![fault("GET", "/token", error(503))],
        ),
        case(
            "a reset of the first question",
            "no answer",
            vec![fault("GET", "/v2/", Action::DropRequestAfter(0))],
        ),
        case(
            "a manifest that is late",
            "fetch manifest `1`",
            vec![Fault::new(
                When::next("GET", "/manifests/").after(1),
                error(504),
            )],
        ),
    ]
}

/// Bytes of another place than asked for.
fn other_range() -> Action {
    Action::Answer {
        status: 206,
        headers: vec![("Content-Range".to_owned(), "bytes 7-8/9".to_owned())],
        body: b"no".to_vec(),
    }
}

/// T-PUSH-11, T-PUSH-12.
#[tokio::test]
async fn whatever_fails_on_the_way_the_image_that_is_pulled_is_right_and_the_log_tells() {
    let elsewhere = FakeRegistry::start();
    let image = TestImage::new().file("a", &bytes(SIZE));
    let built = image.build();
    elsewhere.put_blob("storage", &built.blobs[0]);
    let layer = built.layers[0].digest.to_string();
    for case in faults_of_pulls(&elsewhere, &layer) {
        let registry = guarded().start();
        image.publish(&registry, "base", "1");
        let client = client(&registry).await;
        listen();
        for fault in case.faults.clone() {
            registry.fail(fault);
        }
        let pulled = pull(&client, &registry).await;
        assert!(
            pulled.as_ref() == Ok(&built.blobs[0]),
            "{}: {:?}",
            case.name,
            pulled.err()
        );
        assert_told(&case);
        assert_anonymous(&elsewhere, case.name);
    }
}

async fn push(client: &Client, registry: &FakeRegistry, blob: &[u8]) -> Result<(), String> {
    let source = BlobSource {
        spool: full_spool(blob),
        mount_from: vec![repository(registry, "base")],
    };
    let pushed = client
        .push_blob(&repository(registry, "app"), &source)
        .await;
    pushed.map(drop).map_err(|error| chain(&error))
}

fn faults_of_pushes(elsewhere: &FakeRegistry) -> Vec<Case> {
    let upload = "/blobs/uploads/upload";
    // The first POST asks to mount.
    let both = || When::next("POST", "/blobs/uploads/").times(2);
    let post = |action| Fault::new(both(), action);
    let patch = |action| fault("PATCH", upload, action);
    let put = |action| fault("PUT", upload, action);
    let lost = || Action::error(404, "BLOB_UPLOAD_UNKNOWN", "session lost");
    let at = |path: &str| format!("http://{}{path}", elsewhere.authority());
    let there = at("/v2/app/blobs/uploads/");
    let opened = at(&elsewhere.open_upload("app"));
    vec![
        case("429", "HTTP 429", vec![post(busy("0"))]),
        case("503", "attempt 1 of 4", vec![post(error(503))]),
        case("500 for bytes", "HTTP 500", vec![patch(error(500))]),
        case(
            "502, twice",
            "attempt 2 of 4",
            vec![patch(error(502)), patch(error(502))],
        ),
        case(
            "a reset",
            "no answer",
            vec![patch(Action::DropRequestAfter(0))],
        ),
        case(
            "a reset on the way",
            "no answer",
            vec![patch(Action::DropRequestAfter(300_000))],
        ),
        case("a lost session", "BLOB_UPLOAD_UNKNOWN", vec![patch(lost())]),
        case(
            "silence",
            "nothing moved for",
            vec![patch(Action::StallAfter(0))],
        ),
        case(
            "a token that expires before the bytes",
            "HTTP 401",
            vec![patch(Action::ExpireTokens)],
        ),
        case(
            "a token that expires after the bytes",
            "",
            vec![put(Action::ExpireTokens)],
        ),
        case("504 at the end", "HTTP 504", vec![put(error(504))]),
        case(
            "a lost answer at the end",
            "no answer",
            vec![put(Action::KeepRequestAfter(0))],
        ),
        case(
            "a session lost at the end",
            "BLOB_UPLOAD_UNKNOWN",
            vec![put(lost())],
        ),
        case(
            "no streams",
            "in one PUT instead of a PATCH",
            vec![patch(error(405))],
        ),
        case(
            "uploads elsewhere",
            "",
            vec![post(Action::redirect(307, &there))],
        ),
        case(
            "bytes elsewhere",
            "",
            vec![patch(Action::redirect(308, &opened))],
        ),
    ]
}

/// Uploads that break in the middle.
fn faults_of_halves() -> Vec<Case> {
    let upload = "/blobs/uploads/upload";
    let patch = |action| fault("PATCH", upload, action);
    let asked = |action| fault("GET", upload, action);
    let half = || Action::KeepRequestAfter(300_000);
    vec![
        case(
            "half of a blob",
            "going on at byte 300000",
            vec![patch(half())],
        ),
        case(
            "half of a blob, and not the rest",
            "uploading from the beginning",
            vec![patch(half()), patch(error(416))],
        ),
        case(
            "half of a blob, and a false word about it",
            "uploading from the beginning",
            vec![patch(half()), asked(standing("0-1000"))],
        ),
        case(
            "half of a blob, and more than was sent",
            "no answer",
            vec![patch(half()), asked(standing("0-99999999"))],
        ),
        case(
            "half of a blob, then the token expires",
            "going on at byte 300000",
            vec![patch(half()), asked(Action::ExpireTokens)],
        ),
    ]
}

/// Where an upload stands, truly or not.
fn standing(range: &str) -> Action {
    Action::WithHeaders(vec![("Range".to_owned(), range.to_owned())])
}

/// T-PUSH-05, T-PUSH-11, T-PUSH-12.
#[tokio::test]
async fn whatever_fails_on_the_way_the_blob_that_is_pushed_is_right_and_the_log_tells() {
    let elsewhere = FakeRegistry::start();
    let blob = bytes(SIZE);
    let digest = Digest::of(&blob);
    let cases = faults_of_pushes(&elsewhere).into_iter();
    for case in cases.chain(faults_of_halves()) {
        // The base is there, and may not be mounted.
        let registry = guarded().mounts(Mounts::Refused).start();
        registry.put_blob("base", &blob);
        let client = client(&registry).await;
        let app = reference(&registry, "app:1");
        client.check_push_permission(&app).await.unwrap();
        listen();
        for fault in case.faults.clone() {
            registry.fail(fault);
        }
        let pushed = push(&client, &registry, &blob).await;
        assert_eq!(pushed, Ok(()), "{}", case.name);
        let stored = registry.blob("app", digest);
        let stored = stored.or_else(|| elsewhere.blob("app", digest));
        assert!(stored.as_ref() == Some(&blob), "{}", case.name);
        assert_told(&case);
        assert_anonymous(&elsewhere, case.name);
    }
}

#[tokio::test]
async fn a_manifest_whose_push_fails_is_pushed_again_and_the_log_tells() {
    let image = TestImage::new()
        .file("a", b"1")
        .publish(&guarded().start(), "x", "1");
    let put = |action| Fault::new(When::next("PUT", "/manifests/").times(2), action);
    let cases = [
        case("429", "HTTP 429", vec![put(busy("0"))]),
        case("500", "push manifest `1`", vec![put(error(500))]),
        case(
            "a reset",
            "no answer",
            vec![put(Action::DropRequestAfter(0))],
        ),
        case(
            "an expired token",
            "",
            vec![fault("PUT", "/manifests/", Action::ExpireTokens)],
        ),
    ];
    for case in cases {
        let registry = guarded().start();
        for blob in image
            .blobs
            .iter()
            .map(Vec::as_slice)
            .chain([image.config.bytes()])
        {
            registry.put_blob("app", blob);
        }
        let client = client(&registry).await;
        let app = reference(&registry, "app:1");
        client.check_push_permission(&app).await.unwrap();
        listen();
        for fault in case.faults.clone() {
            registry.fail(fault);
        }
        let media_type = image.descriptor().media_type;
        let pushed = client
            .push_manifest(&app, &media_type, image.manifest.bytes())
            .await;
        assert_eq!(pushed.unwrap(), image.manifest.digest(), "{}", case.name);
        assert_told(&case);
    }
}

#[tokio::test]
async fn a_registry_that_hangs_ends_the_transfer_with_its_name() {
    let registry = guarded().start();
    let image = TestImage::new()
        .file("a", b"1")
        .publish(&registry, "base", "1");
    let layer = image.layers[0].digest.to_string();
    let stalls = Fault::new(When::next("GET", &layer).always(), Action::StallAfter(0));
    registry.fail(stalls);
    listen();
    let message = pull(&client(&registry).await, &registry).await.unwrap_err();
    assert!(message.contains("nothing moved for"), "{message}");
    assert!(message.contains(&registry.reference("base")), "{message}");
    assert!(
        heard().contains("given up: that was the last attempt"),
        "{}",
        heard()
    );
}

/// A registry may ask for patience, and not for more than there is.
#[tokio::test]
async fn a_registry_that_asks_for_too_much_patience_is_left_at_once() {
    let registry = FakeRegistry::start();
    let always = When::next("GET", "/manifests/").always();
    registry.fail(Fault::new(always, busy("1000000000")));
    listen();
    let client = Client::start(ClientConfig::default()).await.unwrap();
    let base = reference(&registry, "base:1");
    let outcome = client.resolve(&base, &amd64()).await;
    assert_eq!(outcome.unwrap_err().status(), Some(429));
    assert!(heard().contains("asks to wait 1000000000 s"), "{}", heard());
    assert_eq!(registry.requests("GET").len(), 2);
}

/// Registries answer so for tags that may not be moved: that of Google, and ECR.
#[tokio::test]
async fn a_tag_that_may_not_be_moved_and_names_the_image_already_is_pushed() {
    let refusals = [
        (
            400,
            "The repository has enabled tag immutability; app:1 cannot be updated",
        ),
        (
            400,
            "The image tag '1' already exists in the 'app' repository and cannot be overwritten because the repository is immutable.",
        ),
    ];
    for (status, words) in refusals {
        let registry = FakeRegistry::start();
        let image = TestImage::new()
            .file("a", b"1")
            .publish(&registry, "app", "1");
        let other = TestImage::new()
            .file("b", b"2")
            .publish(&registry, "app", "2");
        let always = When::next("PUT", "/manifests/1").always();
        registry.fail(Fault::new(always, Action::error(status, "DENIED", words)));
        let client = client(&registry).await;
        let app = reference(&registry, "app:1");
        let push = async |image: &kigumi_testkit::PublishedImage| {
            let media_type = image.descriptor().media_type;
            let bytes = image.manifest.bytes();
            client.push_manifest(&app, &media_type, bytes).await
        };
        assert_eq!(push(&image).await.unwrap(), image.manifest.digest());
        // What the tag names is asked like anything else: a hiccup is no answer.
        registry.fail(fault("GET", "/manifests/1", error(503)));
        assert_eq!(push(&image).await.unwrap(), image.manifest.digest());
        let error = push(&other).await.unwrap_err();
        assert!(error.is_immutable_tag(), "{error}");
        assert!(!error.is_transient());
    }
}
