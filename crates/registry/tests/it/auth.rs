//! Credentials: which are sent, where, and where not.

use crate::support::*;
use kigumi_oci::Digest;
use kigumi_registry::{BlobSource, Client, Error, PushOutcome, Spool};
use kigumi_testkit::{Action, Authentication, FakeRegistry, Fault, TestImage, When};

fn token_registry() -> FakeRegistry {
    FakeRegistry::builder()
        .authentication(Authentication::token("me", "hunter2"))
        .start()
}

async fn push(client: &Client, registry: &FakeRegistry, name: &str) -> Result<PushOutcome, Error> {
    let source = BlobSource {
        spool: full_spool(&bytes(1000)),
        mount_from: vec![repository(registry, "base")],
    };
    client.push_blob(&repository(registry, name), &source).await
}

fn tokens(registry: &FakeRegistry) -> usize {
    let log = registry.log();
    log.iter().filter(|r| r.path == "/token").count()
}

#[tokio::test]
async fn every_kind_of_entry_opens_the_door() {
    let host = |registry: &FakeRegistry| registry.authority().to_owned();
    let token = token_registry();
    let basic = FakeRegistry::builder()
        .authentication(Authentication::basic("me", "hunter2"))
        .start();
    let entry = |key: String, body: &str| format!(r#"{{"auths":{{"{key}":{{{body}}}}}}}"#);
    let auth = r#""auth":"bWU6aHVudGVyMg==""#;
    let identity = r#""identitytoken":"hunter2""#;
    let cases = [
        (&token, entry(host(&token), auth)),
        (&token, entry(host(&token), identity)),
        (&basic, entry(host(&basic), auth)),
        (&basic, entry(format!("{}/app", host(&basic)), auth)),
    ];
    for (registry, config) in cases {
        let client = client_with(&config).await;
        push(&client, registry, "app").await.unwrap();
    }
}

/// T-AUTH-02 and the T-AUTH-01 part of it: nothing of the credential is sent anywhere.
#[tokio::test]
async fn credentials_of_a_sibling_namespace_are_not_offered() {
    let registry = token_registry();
    let key = registry.reference("org-a");
    let client = client_with(&user(&key, "me", "hunter2")).await;
    push(&client, &registry, "org-a/app").await.unwrap();
    registry.clear_log();
    let error = push(&client, &registry, "org-b/app").await.unwrap_err();
    assert!(error.to_string().contains("no credentials for"), "{error}");
    let log = registry.log();
    assert!(
        log.iter().all(|r| r.header("authorization").is_none()),
        "{log:?}"
    );
}

/// T-AUTH-04.
#[tokio::test]
async fn after_a_refusal_the_next_source_is_tried_and_the_last_one_named() {
    use kigumi_registry::ClientConfig;
    use kigumi_registry::keychain::{DockerConfig, Helpers, Keychains};
    let keychain = |json: [String; 2]| {
        let mut origins = ["DOCKER_AUTH_CONFIG", "/kaniko/.docker/config.json"].iter();
        let configs = json.map(|json| {
            let origin = origins.next().unwrap();
            let config = DockerConfig::parse(origin, json.as_bytes(), Helpers::none()).unwrap();
            Box::new(config) as Box<dyn kigumi_registry::keychain::Keychain>
        });
        std::sync::Arc::new(Keychains::new(configs.into()))
    };
    for authentication in [
        Authentication::token("me", "hunter2"),
        Authentication::basic("me", "hunter2"),
    ] {
        let registry = FakeRegistry::builder()
            .authentication(authentication)
            .start();
        let entry = |password: &str| user(registry.authority(), "me", password);
        let client = async |first: &str, second: &str| {
            let keychain = keychain([entry(first), entry(second)]);
            Client::start(ClientConfig {
                keychain,
                ..config()
            })
            .await
            .unwrap()
        };
        let good = client("stale", "hunter2").await;
        push(&good, &registry, "app").await.unwrap();
        let bad = client("stale", "wrong").await;
        let error = push(&bad, &registry, "bpp").await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/kaniko/.docker/config.json"), "{text}");
        assert!(!text.contains("wrong") && !text.contains("stale"), "{text}");
    }
}

#[tokio::test]
async fn a_token_is_shared_by_all_requests_of_its_scope_and_renewed_when_it_expires() {
    let registry = token_registry();
    let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
    let image = TestImage::new()
        .file("a", b"1")
        .publish(&registry, "base", "1");
    let resolve = async || {
        client
            .resolve(&reference(&registry, "base:1"), &amd64())
            .await
            .unwrap()
    };
    for _ in 0..3 {
        assert_eq!(resolve().await.manifest, image.manifest);
    }
    assert_eq!(tokens(&registry), 1);
    registry.expire_tokens();
    resolve().await;
    assert_eq!(tokens(&registry), 2);
}

#[tokio::test]
async fn a_token_that_expires_during_an_upload_is_renewed() {
    let registry = token_registry();
    let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
    for method in ["PATCH", "PUT"] {
        let expired = Action::Answer {
            status: 401,
            headers: vec![(
                "WWW-Authenticate".to_owned(),
                format!(
                    "Bearer realm=\"http://{}/token\",service=\"fake\"",
                    registry.authority()
                ),
            )],
            body: Vec::new(),
        };
        registry.fail(Fault::new(When::next(method, "/blobs/uploads/"), expired));
        let spool = Spool::of_bytes(method.as_bytes().to_vec());
        let source = BlobSource {
            spool,
            mount_from: Vec::new(),
        };
        let app = repository(&registry, "app");
        client.push_blob(&app, &source).await.unwrap();
        assert!(registry.has_blob("app", Digest::of(method.as_bytes())));
    }
}

#[tokio::test]
async fn a_mount_asks_for_a_token_of_both_repositories() {
    let registry = token_registry();
    let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
    registry.put_blob("base", &bytes(1000));
    assert_eq!(
        push(&client, &registry, "app").await.unwrap(),
        PushOutcome::Mounted
    );
    let asked: Vec<_> = registry
        .log()
        .into_iter()
        .filter(|r| r.path == "/token")
        .flat_map(|r| r.query)
        .filter(|(key, _)| key == "scope")
        .map(|(_, scope)| scope)
        .collect();
    assert!(
        asked.contains(&"repository:base:pull".to_owned()),
        "{asked:?}"
    );
    assert!(
        asked.contains(&"repository:app:pull,push".to_owned()),
        "{asked:?}"
    );
}

/// T-PUSH-06: the source of a mount may be out of reach; the upload is not.
#[tokio::test]
async fn credentials_of_one_repository_are_enough_to_push_to_it() {
    let registry = FakeRegistry::builder()
        .authentication(Authentication::token("me", "hunter2").only_for(&["app"]))
        .start();
    let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
    registry.put_blob("base", &bytes(1000));
    let outcome = push(&client, &registry, "app").await.unwrap();
    assert_eq!(outcome, PushOutcome::Uploaded { bytes: 1000 });
}

#[tokio::test]
async fn public_images_need_no_credentials() {
    let registry = FakeRegistry::builder()
        .authentication(Authentication::token("me", "hunter2").with_anonymous_pull())
        .start();
    TestImage::new().publish(&registry, "base", "1");
    let base = reference(&registry, "base:1");
    client().await.resolve(&base, &amd64()).await.unwrap();
}

#[tokio::test]
async fn a_manifest_is_pushed_with_the_same_credentials() {
    for authentication in [
        Authentication::token("me", "hunter2"),
        Authentication::basic("me", "hunter2"),
    ] {
        let registry = FakeRegistry::builder()
            .authentication(authentication)
            .start();
        let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
        let image = TestImage::new().build();
        let source = BlobSource {
            spool: Spool::of_bytes(image.config.bytes().to_vec()),
            mount_from: Vec::new(),
        };
        client
            .push_blob(&repository(&registry, "app"), &source)
            .await
            .unwrap();
        let media_type = image.manifest.value().media_type.clone().unwrap();
        let app = reference(&registry, "app:1");
        client
            .push_manifest(&app, &media_type, image.manifest.bytes())
            .await
            .unwrap();
        let log = registry.log();
        let manifests: Vec<_> = log
            .iter()
            .filter(|r| r.path.contains("/manifests/"))
            .collect();
        // oci-client had the token from us: there was no second try and no ping.
        assert_eq!(manifests.len(), 1, "{:?}", transcript(&registry));
        assert!(log.iter().filter(|r| r.path == "/v2/").count() <= 2);
    }
}

fn challenge(value: String) -> Action {
    Action::Answer {
        status: 401,
        headers: vec![("WWW-Authenticate".to_owned(), value)],
        body: Vec::new(),
    }
}

#[tokio::test]
async fn hostile_challenges_get_no_credentials_and_no_loop() {
    let elsewhere = FakeRegistry::start();
    let registry = FakeRegistry::start();
    let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
    let token = format!("Bearer realm=\"http://{}/token\"", registry.authority());
    for value in [
        "Bearer realm=\"http://169.254.169.254/token\"".to_owned(),
        "Bearer realm=\"http://[::]/token\"".to_owned(),
        "Bearer realm=\"http://0.0.0.0/token\"".to_owned(),
        format!("Bearer realm=\"http://me@{}/token\"", elsewhere.authority()),
        "Bearer realm=\"ftp://127.0.0.1/\"".to_owned(),
        "Bearer realm=\"".to_owned(),
        "Bearer".to_owned(),
        "Digest realm=\"x\"".to_owned(),
        token.clone(),
        "Basic realm=\"x\"".to_owned(),
    ] {
        registry.fail(Fault::new(
            When::next("HEAD", "").always(),
            challenge(value.clone()),
        ));
        let base = repository(&registry, "base");
        let outcome = client.blob_size(&base, Digest::of(b"x")).await;
        assert!(outcome.is_err(), "{value}");
        registry.heal();
    }
    assert!(registry.log().len() < 60, "{}", registry.log().len());
    assert_eq!(elsewhere.log(), []);
}

#[tokio::test]
async fn a_token_server_s_redirects_are_not_followed() {
    let registry = token_registry();
    let elsewhere = FakeRegistry::start();
    let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
    let away = format!("http://{}/token", elsewhere.authority());
    registry.fail(Fault::new(
        When::next("GET", "/token").always(),
        Action::redirect(302, &away),
    ));
    let error = push(&client, &registry, "app").await.unwrap_err();
    assert!(matches!(error, Error::TokenStatus { .. }), "{error}");
    assert_eq!(elsewhere.log(), []);
}

#[tokio::test]
async fn unusable_tokens_are_refused() {
    for body in [
        "",
        "<html>",
        "{}",
        r#"{"token":""}"#,
        r#"{"token":"a\r\nX-Evil: 1"}"#,
        r#"{"token":["a"]}"#,
    ] {
        let registry = token_registry();
        let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
        let answer = Action::Answer {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        };
        registry.fail(Fault::new(When::next("GET", "/token").always(), answer));
        let error = push(&client, &registry, "app").await.unwrap_err();
        assert!(
            error.to_string().contains("without a usable token"),
            "{error}"
        );
    }
}

/// I5: what a registry echoes of a secret is not shown.
#[tokio::test]
async fn an_echoed_secret_is_not_in_the_error() {
    let registry = FakeRegistry::builder()
        .authentication(Authentication::basic("me", "hunter2"))
        .start();
    let client = client_with(&user(registry.authority(), "me", "hunter2")).await;
    let echo = Action::error(403, "DENIED", "me:hunter2 may not do that");
    registry.fail(Fault::new(When::next("POST", "").always(), echo));
    let error = push(&client, &registry, "app").await.unwrap_err();
    let text = chain(&error);
    assert!(text.contains("may not do that"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
