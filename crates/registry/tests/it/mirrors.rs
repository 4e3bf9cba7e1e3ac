//! Registries that stand in for others: which is asked, with which credential, and what when it fails.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kigumi_registry::keychain::{DockerConfig, Helpers};
use kigumi_registry::{BlobSource, Client, ClientConfig, PushOutcome, Route, Routes};
use kigumi_testkit::{
    Action, Authentication, FakeRegistry, Fault, PublishedImage, TestImage, When,
};

use crate::heard::{heard, listen};
use crate::support::*;

/// A registry with a user of its own, who opens no other.
struct Guarded {
    registry: FakeRegistry,
    username: &'static str,
}

fn guarded(username: &'static str) -> Guarded {
    let authentication = Authentication::token(username, &password(username));
    Guarded {
        registry: FakeRegistry::builder()
            .authentication(authentication)
            .start(),
        username,
    }
}

fn password(username: &str) -> String {
    format!("password of {username}")
}

impl Guarded {
    /// Nobody but its own user was presented here.
    fn assert_own_credentials_only(&self) {
        let own = format!("{}:{}", self.username, password(self.username));
        let own = format!("Basic {}", BASE64_STANDARD.encode(own));
        for request in self.registry.log() {
            let given = request.header("authorization").unwrap_or_default();
            let token = given.is_empty() || given.starts_with("Bearer token-");
            assert!(token || given == own, "{given} at {}", self.username);
        }
    }
}

fn route(from: &FakeRegistry, to: &FakeRegistry, path: &str) -> Route {
    Route {
        from: from.authority().parse().unwrap(),
        to: to.reference(path).parse().unwrap(),
    }
}

async fn client(all: &[&Guarded], routes: Routes) -> Client {
    let entry = |guarded: &&Guarded| {
        let (key, user) = (guarded.registry.authority(), guarded.username);
        format!(
            r#""{key}":{{"username":"{user}","password":"{}"}}"#,
            password(user)
        )
    };
    let entries: Vec<String> = all.iter().map(entry).collect();
    let json = format!(r#"{{"auths":{{{}}}}}"#, entries.join(","));
    let keychain = DockerConfig::parse("test.json", json.as_bytes(), Helpers::none()).unwrap();
    Client::start(ClientConfig {
        keychain: Arc::new(keychain),
        routes,
        ..config()
    })
    .await
    .unwrap()
}

/// Resolves `base:1` and fetches its layer.
async fn pull(client: &Client, origin: &FakeRegistry) -> Result<Vec<u8>, String> {
    let image = client.resolve(&reference(origin, "base:1"), &amd64()).await;
    let image = image.map_err(|error| chain(&error))?;
    let (_directory, writer, spool) = spool();
    let layer = only_layer(image.manifest.value());
    let fetched = client.fetch_blob(&image.repository, layer, writer).await;
    fetched.map_err(|error| chain(&*error))?;
    Ok(read(&spool).unwrap())
}

fn image() -> TestImage {
    TestImage::new().file("a", &bytes(700_000))
}

/// Whether these are the bytes of the image's layer.
fn is_layer(pulled: &Result<Vec<u8>, String>, image: &PublishedImage) -> bool {
    pulled.as_ref().ok() == image.blobs.first()
}

/// K-AUTH-04, T-AUTH-01, T-PUSH-12: each host sees its own credential and no other's.
#[tokio::test]
async fn a_mirror_is_asked_with_its_own_credential_and_the_registry_is_not_asked() {
    let (origin, mirror) = (guarded("origin"), guarded("mirror"));
    let published = image().publish(&mirror.registry, "hub/base", "1");
    let routes = vec![route(&origin.registry, &mirror.registry, "hub")];
    let client = client(&[&origin, &mirror], Routes::new(routes, false)).await;
    listen();
    let pulled = pull(&client, &origin.registry).await;
    assert!(is_layer(&pulled, &published));
    assert_eq!(origin.registry.log(), []);
    mirror.assert_own_credentials_only();
    let place = mirror.registry.reference("hub/base");
    assert!(
        heard().contains(&format!("is read from `{place}`")),
        "{}",
        heard()
    );
}

#[tokio::test]
async fn mirrors_that_fail_are_passed_over_in_their_order_and_the_log_says_why() {
    let (origin, first, second) = (guarded("origin"), guarded("first"), guarded("second"));
    let published = image().publish(&origin.registry, "base", "1");
    let unavailable = Action::error(503, "UNAVAILABLE", "closed for today");
    let always = When::next("GET", "/manifests/").always();
    second.registry.fail(Fault::new(always, unavailable));
    let routes = vec![
        route(&origin.registry, &first.registry, ""),
        route(&origin.registry, &second.registry, "cache"),
    ];
    let client = client(&[&origin, &first, &second], Routes::new(routes, false)).await;
    listen();
    let pulled = pull(&client, &origin.registry).await;
    assert!(is_layer(&pulled, &published));
    for guarded in [&origin, &first, &second] {
        guarded.assert_own_credentials_only();
    }
    let heard = heard();
    let (missing, closed) = (
        heard.find("MANIFEST_UNKNOWN"),
        heard.find("closed for today"),
    );
    assert!(missing.is_some() && missing < closed, "{heard}");
    // The layer is asked for where the manifest was.
    let layer = published.layers[0].digest.to_string();
    let asked = |guarded: &Guarded| {
        let log = guarded.registry.log();
        log.iter().filter(|r| r.path.contains(&layer)).count()
    };
    assert_eq!([asked(&first), asked(&second)], [0, 0]);
}

#[tokio::test]
async fn a_layer_that_a_mirror_breaks_off_is_finished_by_the_registry() {
    let (origin, mirror) = (guarded("origin"), guarded("mirror"));
    let published = image().publish(&origin.registry, "base", "1");
    image().publish(&mirror.registry, "base", "1");
    let layer = published.layers[0].digest.to_string();
    let breaks = Fault::new(When::next("GET", &layer), Action::DropAfter(300_000));
    mirror.registry.fail(breaks);
    let gone = Action::error(404, "BLOB_UNKNOWN", "evicted");
    let routes = vec![route(&origin.registry, &mirror.registry, "")];
    mirror
        .registry
        .fail(Fault::new(When::next("GET", &layer).always(), gone));
    let client = client(&[&origin, &mirror], Routes::new(routes, false)).await;
    listen();
    let pulled = pull(&client, &origin.registry).await;
    assert!(is_layer(&pulled, &published), "{:?}", pulled.err());
    assert!(heard().contains("evicted"), "{}", heard());
    origin.assert_own_credentials_only();
    mirror.assert_own_credentials_only();
}

#[tokio::test]
async fn without_a_way_back_the_mirror_s_answer_is_the_error() {
    let (origin, mirror) = (guarded("origin"), guarded("mirror"));
    image().publish(&origin.registry, "base", "1");
    let routes = vec![route(&origin.registry, &mirror.registry, "hub")];
    let client = client(&[&origin, &mirror], Routes::new(routes, true)).await;
    let error = pull(&client, &origin.registry).await.unwrap_err();
    let asked = mirror.registry.reference("hub/base");
    assert!(
        error.contains(&asked) && error.contains("HTTP 404"),
        "{error}"
    );
    assert_eq!(origin.registry.log(), []);
}

#[tokio::test]
async fn bytes_of_a_mirror_that_are_not_those_asked_for_are_not_taken() {
    let (origin, mirror) = (guarded("origin"), guarded("mirror"));
    let published = image().publish(&origin.registry, "base", "1");
    image().publish(&mirror.registry, "base", "1");
    mirror.registry.fail(Fault::new(
        When::next("GET", "/manifests/sha256").always(),
        Action::Flip(40),
    ));
    let routes = vec![route(&origin.registry, &mirror.registry, "")];
    let client = client(&[&origin, &mirror], Routes::new(routes, false)).await;
    let by_digest = format!("base@{}", published.manifest.digest());
    listen();
    let resolved = client
        .resolve(&reference(&origin.registry, &by_digest), &amd64())
        .await
        .unwrap();
    assert_eq!(resolved.manifest, published.manifest);
    assert!(heard().contains("instead"), "{}", heard());
}

#[tokio::test]
async fn pushes_and_what_a_build_made_itself_know_no_mirror() {
    let (origin, mirror) = (guarded("origin"), guarded("mirror"));
    let published = image().publish(&origin.registry, "base", "1");
    let routes = vec![route(&origin.registry, &mirror.registry, "")];
    let client = client(&[&origin, &mirror], Routes::new(routes, true)).await;
    let app = repository(&origin.registry, "app");
    let source = BlobSource {
        spool: full_spool(b"x"),
        mount_from: Vec::new(),
    };
    client.push_blob(&app, &source).await.unwrap();
    let base = reference(&origin.registry, "base:1");
    let media_type = published.descriptor().media_type;
    let bytes = published.manifest.bytes();
    client
        .push_manifest(&base, &media_type, bytes)
        .await
        .unwrap();
    let (_directory, writer, spool) = spool();
    let made = layer(b"x");
    client.fetch_blob(&app, &made, writer).await.unwrap();
    assert_eq!(read(&spool).unwrap(), b"x");
    assert_eq!(mirror.registry.log(), []);
}

/// T-PUSH-09.
#[tokio::test]
async fn what_came_through_a_mirror_is_mounted_within_it() {
    let (origin, mirror) = (guarded("origin"), guarded("mirror"));
    let published = image().publish(&mirror.registry, "hub/base", "1");
    let routes = vec![route(&origin.registry, &mirror.registry, "hub")];
    let client = client(&[&origin, &mirror], Routes::new(routes, false)).await;
    pull(&client, &origin.registry).await.unwrap();
    let source = BlobSource {
        spool: full_spool(&published.blobs[0]),
        mount_from: vec![repository(&origin.registry, "base")],
    };
    let app = repository(&mirror.registry, "app");
    let outcome = client.push_blob(&app, &source).await.unwrap();
    assert_eq!(outcome, PushOutcome::Mounted);
}
