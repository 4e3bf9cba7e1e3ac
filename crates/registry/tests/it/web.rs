//! Files of the web, from servers that do not do as they should.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _};

use kigumi_oci::Digest;
use kigumi_registry::{
    Authentication, Client, ClientConfig, Downloaded, NameFiles, Pem, Registry, Relaxation, Secret,
    WebSource,
};
use kigumi_testkit::{Action, FakeRegistry, Fault, When};

use crate::support::*;

/// Makes the server answer every GET of this path so.
fn serve(server: &FakeRegistry, path: &str, body: &[u8], headers: &[(&str, &str)]) {
    let headers = headers.iter();
    server.fail(Fault::new(
        When::next("GET", path).always(),
        Action::Answer {
            status: 200,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.to_vec(),
        },
    ));
}

fn source(server: &FakeRegistry, path: &str) -> WebSource {
    WebSource::parse(&format!("http://{}{path}", server.authority())).unwrap()
}

/// What was fetched and what the file holds then; or the whole error.
async fn fetch(client: &Client, source: &WebSource) -> Result<(Downloaded, Vec<u8>), String> {
    let mut file = tempfile::tempfile().unwrap();
    let fetched = client.fetch_file(source, &file).await;
    let fetched = fetched.map_err(|error| chain(&error))?;
    Ok((fetched, content(&mut file)))
}

fn content(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn token(text: &str) -> Authentication {
    Authentication::bearer(&Secret::new(text.to_owned()), "the secret `x`").unwrap()
}

// T-ADD-07
#[tokio::test]
async fn a_file_comes_with_its_digest_its_size_and_its_time() {
    let server = FakeRegistry::start();
    let body = bytes(1_000_000);
    let time = "Wed, 21 Oct 2015 07:28:00 GMT";
    serve(&server, "/f", &body, &[("Last-Modified", time)]);
    let (fetched, stored) = fetch(&client().await, &source(&server, "/f?sig=1"))
        .await
        .unwrap();
    assert_eq!(fetched.digest, Digest::of(&body));
    assert_eq!(fetched.size, 1_000_000);
    assert_eq!(fetched.last_modified.as_deref(), Some(time));
    assert!(stored == body);
    assert_eq!(server.log()[0].query, [("sig".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn a_file_may_have_no_time_no_length_and_no_bytes() {
    let server = FakeRegistry::start();
    let body = bytes(300_000);
    let digest = server.put_blob("app", &body);
    // The right answer with nothing behind it: without a length.
    server.fail(Fault::new(
        When::next("GET", "/blobs/"),
        Action::Append(Vec::new()),
    ));
    let client = client().await;
    let (fetched, stored) = fetch(
        &client,
        &source(&server, &format!("/v2/app/blobs/{digest}")),
    )
    .await
    .unwrap();
    assert!(fetched.last_modified.is_none() && stored == body);
    serve(&server, "/empty", b"", &[]);
    let (fetched, _) = fetch(&client, &source(&server, "/empty")).await.unwrap();
    assert_eq!(fetched.digest, Digest::of(b""));
}

// T-ADD-08
#[tokio::test]
async fn another_digest_than_expected_is_an_error_that_names_both() {
    let server = FakeRegistry::start();
    serve(&server, "/f", b"what came", &[]);
    let client = client().await;
    let expect = |bytes: &[u8]| source(&server, "/f").expecting(Some(Digest::of(bytes)));
    fetch(&client, &expect(b"what came")).await.unwrap();
    let error = fetch(&client, &expect(b"another")).await.unwrap_err();
    for part in [
        "/f`".to_owned(),
        Digest::of(b"another").to_string(),
        Digest::of(b"what came").to_string(),
    ] {
        assert!(error.contains(&part), "{part}: {error}");
    }
    // What is wrong today is wrong tomorrow.
    assert_eq!(server.requests("GET").len(), 2);
}

#[tokio::test]
async fn what_may_be_better_the_next_time_is_tried_again_from_the_start() {
    let server = FakeRegistry::start();
    let body = bytes(600_000);
    let digest = server.put_blob("app", &body);
    let source = source(&server, &format!("/v2/app/blobs/{digest}"));
    let client = client().await;
    for action in [
        Action::error(503, "UNAVAILABLE", "later"),
        Action::error(429, "TOOMANYREQUESTS", "slower"),
        Action::DropAfter(0),
        Action::DropAfter(400_000),
    ] {
        server.clear_log();
        server.fail(Fault::new(When::next("GET", "/blobs/"), action.clone()));
        let (fetched, stored) = fetch(&client, &source).await.unwrap();
        assert!(fetched.digest == digest && stored == body, "{action:?}");
        assert_eq!(server.requests("GET").len(), 2, "{action:?}");
        assert!(
            server
                .log()
                .iter()
                .all(|request| request.header("range").is_none())
        );
    }
}

#[tokio::test]
async fn a_body_that_is_cut_short_every_time_is_an_error() {
    let server = FakeRegistry::start();
    let digest = server.put_blob("app", &bytes(600_000));
    server.fail(Fault::new(
        When::next("GET", "/blobs/").always(),
        Action::DropAfter(1000),
    ));
    let error = fetch(
        &client().await,
        &source(&server, &format!("/v2/app/blobs/{digest}")),
    )
    .await
    .unwrap_err();
    assert!(
        error.contains("it ended after 1000 of 600000 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_that_is_an_error_is_told_once_and_without_the_query() {
    let server = FakeRegistry::start();
    for status in [304, 400, 401, 403, 404, 410, 501] {
        server.clear_log();
        let action = Action::error(status, "X", "no such file");
        server.fail(Fault::new(When::next("GET", "/dir/file"), action));
        let error = fetch(&client().await, &source(&server, "/dir/file?signature=abc"))
            .await
            .unwrap_err();
        assert!(
            error.contains(&format!("/dir/file`: HTTP {status}")) && !error.contains("abc"),
            "{error}"
        );
        assert_eq!(server.requests("GET").len(), 1, "{status}");
    }
}

// T-ADD-10
#[tokio::test]
async fn a_credential_goes_to_its_origin_and_never_beyond() {
    let (server, other) = (FakeRegistry::start(), FakeRegistry::start());
    serve(&server, "/file", b"file", &[]);
    serve(&other, "/file", b"file", &[]);
    let client = client().await;
    let sent = |server: &FakeRegistry, path: &str| -> Vec<Option<String>> {
        let log = server.log();
        let matching = log.iter().filter(|request| request.path == path);
        matching
            .map(|request| request.header("authorization").map(str::to_owned))
            .collect()
    };
    let redirect = |server: &FakeRegistry, path: &str, to: &str| {
        let action = Action::redirect(302, to);
        server.fail(Fault::new(When::next("GET", path).always(), action));
    };
    let at = |server: &FakeRegistry, path: &str| format!("http://{}{path}", server.authority());
    let bearer = || Some("Bearer s3cret".to_owned());

    redirect(&server, "/same", "/file");
    let same = source(&server, "/same").authenticated(Some(token("s3cret\n")));
    fetch(&client, &same).await.unwrap();
    assert_eq!(sent(&server, "/same"), [bearer()]);
    assert_eq!(sent(&server, "/file"), [bearer()]);

    server.clear_log();
    redirect(&server, "/away", &at(&other, "/file"));
    let away = source(&server, "/away").authenticated(Some(token("s3cret")));
    fetch(&client, &away).await.unwrap();
    assert_eq!(sent(&server, "/away"), [bearer()]);
    assert_eq!(sent(&other, "/file"), [None]);

    server.clear_log();
    redirect(&server, "/round", &at(&other, "/trip"));
    redirect(&other, "/trip", &at(&server, "/file"));
    let round = source(&server, "/round").authenticated(Some(token("s3cret")));
    fetch(&client, &round).await.unwrap();
    assert_eq!(sent(&server, "/file"), [None]);
}

#[tokio::test]
async fn a_user_in_the_url_is_a_credential_unless_there_is_a_better_one() {
    let server = FakeRegistry::start();
    serve(&server, "/f", b"x", &[]);
    let client = client().await;
    let url = format!("http://user:p%40ss@{}/f", server.authority());
    let source = WebSource::parse(&url).unwrap();
    fetch(&client, &source).await.unwrap();
    fetch(&client, &source.authenticated(Some(token("better"))))
        .await
        .unwrap();
    let log = server.log();
    assert_eq!(log[0].header("authorization"), Some("Basic dXNlcjpwQHNz"));
    assert_eq!(log[1].header("authorization"), Some("Bearer better"));
}

#[tokio::test]
async fn a_server_that_repeats_a_credential_is_not_quoted() {
    let server = FakeRegistry::start();
    let action = Action::error(403, "DENIED", "token s3cret is not good");
    server.fail(Fault::new(When::next("GET", "/f"), action));
    let source = source(&server, "/f").authenticated(Some(token("s3cret")));
    let error = fetch(&client().await, &source).await.unwrap_err();
    assert!(
        !error.contains("s3cret") && error.contains("the secret `x`"),
        "{error}"
    );
}

#[tokio::test]
async fn redirects_end_somewhere_and_not_anywhere() {
    let server = FakeRegistry::start();
    let client = client().await;
    for place in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0:1/",
        "file:///etc/passwd",
        "http://user:pw@127.0.0.1/",
        "https://[",
    ] {
        let action = Action::redirect(302, place);
        server.fail(Fault::new(When::next("GET", "/f"), action));
        let error = fetch(&client, &source(&server, "/f")).await.unwrap_err();
        assert!(error.contains("it points to"), "{place}: {error}");
    }
    let circle = format!("http://{}/f", server.authority());
    server.fail(Fault::new(
        When::next("GET", "/f").always(),
        Action::redirect(307, &circle),
    ));
    server.clear_log();
    let error = fetch(&client, &source(&server, "/f")).await.unwrap_err();
    assert!(error.contains("more than 10 redirects"), "{error}");
    assert_eq!(server.requests("GET").len(), 11);
}

#[tokio::test]
async fn a_name_at_a_forbidden_address_is_no_place_to_redirect_to() {
    let server = FakeRegistry::start();
    let hosts = "169.254.169.254 metadata.test\n127.0.0.1 files.test\n";
    let client = Client::start(ClientConfig {
        names: NameFiles {
            hosts: hosts.into(),
            resolv_conf: Vec::new(),
        },
        ..config()
    })
    .await
    .unwrap();
    server.fail(Fault::new(
        When::next("GET", "/f"),
        Action::redirect(302, "http://metadata.test/latest/"),
    ));
    let port = server.authority().rsplit_once(':').unwrap().1;
    let url = format!("http://files.test:{port}/f");
    let error = fetch(&client, &WebSource::parse(&url).unwrap())
        .await
        .unwrap_err();
    assert!(error.contains("169.254.169.254"), "{error}");
}

#[tokio::test]
async fn a_coding_of_the_server_is_neither_asked_for_nor_undone() {
    let server = FakeRegistry::start();
    serve(
        &server,
        "/f",
        b"\x1f\x8bnot even gzip",
        &[("Content-Encoding", "gzip")],
    );
    let (_, stored) = fetch(&client().await, &source(&server, "/f"))
        .await
        .unwrap();
    assert_eq!(stored, b"\x1f\x8bnot even gzip");
    assert_eq!(server.log()[0].header("accept-encoding"), None);
}

// K-AUTH-07
#[tokio::test]
async fn certificates_are_judged_by_what_was_said_of_the_very_host() {
    let server = FakeRegistry::builder().tls(&["127.0.0.1"]).start();
    serve(&server, "/f", b"x", &[]);
    let url = format!("https://{}/f", server.authority());
    let source = WebSource::parse(&url).unwrap();
    let pem = || Pem {
        origin: "test".to_owned(),
        bytes: server.certificate().into(),
    };
    let host = Registry::new(server.authority());
    let everywhere = Relaxation {
        pull: true,
        push: true,
        ..Relaxation::default()
    };
    let here = Relaxation {
        registries: BTreeSet::from([host.clone()]),
        ..Relaxation::default()
    };
    for (change, works) in [
        (ClientConfig::default(), false),
        // What is said of registries is not said of the web.
        (
            ClientConfig {
                skip_tls_verify: everywhere,
                ..config()
            },
            false,
        ),
        (
            ClientConfig {
                skip_tls_verify: here,
                ..config()
            },
            true,
        ),
        (
            ClientConfig {
                roots: vec![pem()],
                ..config()
            },
            true,
        ),
        (
            ClientConfig {
                registry_roots: BTreeMap::from([(host, vec![pem()])]),
                ..config()
            },
            true,
        ),
    ] {
        let client = Client::start(ClientConfig {
            retry: config().retry,
            ..change.clone()
        })
        .await
        .unwrap();
        let fetched = fetch(&client, &source).await;
        assert_eq!(fetched.is_ok(), works, "{change:?}: {fetched:?}");
    }
}

// T-FMT-05
#[tokio::test]
async fn the_time_of_a_file_can_be_had_without_the_file() {
    let server = FakeRegistry::start();
    let time = "Wed, 21 Oct 2015 07:28:00 GMT";
    serve(&server, "/f", b"x", &[("Last-Modified", time)]);
    let client = client().await;
    let said = client.last_modified(&source(&server, "/f")).await.unwrap();
    assert_eq!(said.as_deref(), Some(time));
    client
        .last_modified(&source(&server, "/missing"))
        .await
        .unwrap_err();
}
