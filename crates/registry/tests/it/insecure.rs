//! Plain HTTP, TLS, proxies and names: what is allowed where.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use kigumi_oci::{Digest, Reference};
use kigumi_registry::{
    BlobSource, Client, ClientCertificate, ClientConfig, Direction, Error, NameFiles, NoAnswer,
    Pem, Proxies, Registry, Relaxation, Repository, Secret, Spool,
};
use kigumi_testkit::{Action, FakeRegistry, Fault, When};

use crate::support::*;

/// Names for loopback that do not say so.
const HOSTS: &str = "127.0.0.1 registry.test other.test\n169.254.169.254 metadata.test\n";

fn named() -> ClientConfig {
    ClientConfig {
        names: NameFiles {
            hosts: HOSTS.into(),
            resolv_conf: Vec::new(),
        },
        ..config()
    }
}

fn at(registry: &FakeRegistry, host: &str) -> Reference {
    let port = registry.authority().rsplit_once(':').unwrap().1;
    format!("{host}:{port}/app:1").parse().unwrap()
}

async fn works(client: &Client, reference: &Reference, direction: Direction) -> Result<(), Error> {
    let app = Repository::of(reference);
    match direction {
        Direction::Push => {
            let source = BlobSource {
                spool: Spool::of_bytes(&b"x"[..]),
                mount_from: Vec::new(),
            };
            client.push_blob(&app, &source).await.map(drop)
        }
        Direction::Pull => client.blob_size(&app, Digest::of(b"x")).await.map(drop),
    }
}

/// K-FLAG-02.
#[tokio::test]
async fn plain_http_is_spoken_where_it_is_allowed_and_nowhere_else() {
    let registry = FakeRegistry::start();
    let reference = at(&registry, "registry.test");
    let only = |authority: &str| Relaxation {
        registries: BTreeSet::from([Registry::new(authority)]),
        ..Relaxation::default()
    };
    let this = Repository::of(&reference).registry().authority().to_owned();
    let push = Relaxation {
        push: true,
        ..Relaxation::default()
    };
    let pull = Relaxation {
        pull: true,
        ..Relaxation::default()
    };
    let cases = [
        (Relaxation::default(), false, false),
        (push, true, false),
        (pull, false, true),
        (only(&this), true, true),
        (only("registry.test"), false, false),
        (only("registry.test:1"), false, false),
    ];
    for (plain_http, pushes, pulls) in cases {
        let case = format!("{plain_http:?}");
        let client = Client::start(ClientConfig {
            plain_http,
            ..named()
        })
        .await
        .unwrap();
        let push = works(&client, &reference, Direction::Push).await;
        let pull = works(&client, &reference, Direction::Pull).await;
        assert_eq!((push.is_ok(), pull.is_ok()), (pushes, pulls), "{case}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_name_at_a_forbidden_address_is_refused() {
    let registry = FakeRegistry::start();
    let client = Client::start(named()).await.unwrap();
    let app = repository(&registry, "app");
    for (place, allowed) in [("metadata.test", false), ("other.test", true)] {
        let port = registry.authority().rsplit_once(':').unwrap().1;
        let location = format!("http://{place}:{port}/v2/app/blobs/x");
        let when = When::next("HEAD", "/blobs/sha256").times(1);
        registry.fail(Fault::new(when, Action::redirect(307, &location)));
        let outcome = client.blob_size(&app, Digest::of(b"x")).await;
        assert_eq!(outcome.is_ok(), allowed, "{place}: {outcome:?}");
    }
}

/// K-FLAG-02, K-AUTH-07.
#[tokio::test]
async fn a_certificate_is_trusted_where_it_was_named_or_is_not_looked_at() {
    let registry = FakeRegistry::builder().tls(&["registry.test"]).start();
    let reference = at(&registry, "registry.test");
    let this = Repository::of(&reference).registry().clone();
    let pem = || Pem {
        origin: "test.pem".to_owned(),
        bytes: registry.certificate().into(),
    };
    let roots = |roots| ClientConfig { roots, ..named() };
    let for_registry = |name: &Registry| ClientConfig {
        registry_roots: [(name.clone(), vec![pem()])].into(),
        ..named()
    };
    let skip = |skip_tls_verify| ClientConfig {
        skip_tls_verify,
        ..named()
    };
    let push = Relaxation {
        push: true,
        ..Relaxation::default()
    };
    let only = Relaxation {
        registries: BTreeSet::from([this.clone()]),
        ..Relaxation::default()
    };
    let other = Registry::new("other.test");
    let cases = [
        ("nothing", named(), false, false),
        ("its certificate", roots(vec![pem()]), true, true),
        ("its own", for_registry(&this), true, true),
        ("another's", for_registry(&other), false, false),
        ("skipped for pushes", skip(push), true, false),
        ("skipped for it", skip(only), true, true),
    ];
    for (case, config, pushes, pulls) in cases {
        let client = Client::start(config).await.unwrap();
        let push = works(&client, &reference, Direction::Push).await;
        let pull = works(&client, &reference, Direction::Pull).await;
        assert_eq!((push.is_ok(), pull.is_ok()), (pushes, pulls), "{case}");
    }
    // The certificate of another name: trusted, and still not this server's.
    let client = Client::start(roots(vec![pem()])).await.unwrap();
    let error = works(&client, &at(&registry, "other.test"), Direction::Pull)
        .await
        .unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(chain(&error).contains("certificate"), "{}", chain(&error));
}

/// Answers whatever comes as servers of plain HTTP answer TLS.
fn server_without_tls() -> Reference {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut hello = [0; 1024];
            drop(client.read(&mut hello));
            // A client that goes away has its own reason.
            drop(client.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
        }
    });
    format!("registry.test:{port}/app:1").parse().unwrap()
}

#[tokio::test]
async fn a_missing_answer_names_the_cause_that_a_person_can_mend() {
    let plain = server_without_tls();
    let secure = FakeRegistry::builder().tls(&["registry.test"]).start();
    let trusting = Pem {
        origin: "test.pem".to_owned(),
        bytes: secure.certificate().into(),
    };
    let known = ClientConfig {
        roots: vec![trusting],
        ..named()
    };
    let closed: Reference = "registry.test:1/app:1".parse().unwrap();
    let unknown: Reference = "registry.invalid:1/app:1".parse().unwrap();
    let cases = [
        (named(), plain, NoAnswer::PlainHttp),
        (
            named(),
            at(&secure, "registry.test"),
            NoAnswer::UnknownIssuer,
        ),
        (known, at(&secure, "other.test"), NoAnswer::OtherName),
        (named(), closed, NoAnswer::Refused),
        (named(), unknown, NoAnswer::UnknownHost),
    ];
    for (config, reference, expected) in cases {
        let client = Client::start(config).await.unwrap();
        let error = works(&client, &reference, Direction::Pull)
            .await
            .unwrap_err();
        assert_eq!(error.no_answer(), Some(expected), "{}", chain(&error));
        let is_closed = expected == NoAnswer::Refused;
        assert_eq!(error.is_transient(), is_closed, "{expected:?}");
    }
}

/// A server of TLS is not spoken to in plain HTTP because its certificate is not liked.
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_not_got_around_by_plain_http() {
    let registry = FakeRegistry::builder().tls(&["localhost"]).start();
    let client = Client::start(ClientConfig {
        plain_http: Relaxation {
            push: true,
            pull: true,
            ..Relaxation::default()
        },
        ..named()
    })
    .await
    .unwrap();
    let error = works(&client, &at(&registry, "localhost"), Direction::Push)
        .await
        .unwrap_err();
    assert!(chain(&error).contains("certificate"), "{}", chain(&error));
    assert!(!error.is_transient());
}

/// COMPAT(kaniko): `--insecure` is often written for registries that speak TLS.
#[tokio::test]
async fn https_is_spoken_where_plain_http_is_allowed() {
    let registry = FakeRegistry::builder().tls(&["registry.test"]).start();
    let everywhere = Relaxation {
        push: true,
        pull: true,
        ..Relaxation::default()
    };
    let client = Client::start(ClientConfig {
        plain_http: everywhere.clone(),
        skip_tls_verify: everywhere,
        ..named()
    })
    .await
    .unwrap();
    let reference = at(&registry, "registry.test");
    works(&client, &reference, Direction::Push).await.unwrap();
}

#[tokio::test]
async fn an_image_is_pushed_and_resolved_over_tls() {
    let registry = FakeRegistry::builder().tls(&["127.0.0.1"]).start();
    let client = Client::start(ClientConfig {
        roots: vec![Pem {
            origin: "test.pem".to_owned(),
            bytes: registry.certificate().into(),
        }],
        ..config()
    })
    .await
    .unwrap();
    let image = kigumi_testkit::TestImage::new().build();
    let source = BlobSource {
        spool: Spool::of_bytes(image.config.bytes().to_vec()),
        mount_from: Vec::new(),
    };
    let app = reference(&registry, "app:1");
    client
        .push_blob(&Repository::of(&app), &source)
        .await
        .unwrap();
    let media_type = image.descriptor().media_type;
    let pushed = client.push_manifest(&app, &media_type, image.manifest.bytes());
    pushed.await.unwrap();
    let resolved = client.resolve(&app, &amd64()).await.unwrap();
    assert_eq!(resolved.manifest, image.manifest);
}

/// In an image made from scratch there are none but ours.
#[test]
fn nothing_depends_on_the_certificates_of_the_system() {
    let other = "insecure::an_image_is_pushed_and_resolved_over_tls";
    let outcome = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", other])
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&outcome.stdout);
    assert!(
        outcome.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_named() {
    let pem = |bytes: &[u8]| Pem {
        origin: "/kaniko/ssl/certs/extra.crt".to_owned(),
        bytes: bytes.to_vec(),
    };
    let start = async |roots| Client::start(ClientConfig { roots, ..config() }).await;
    // Text without any certificate in it is a bundle of none.
    start(vec![pem(b""), pem(b"# nothing\n")]).await.unwrap();
    let broken = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    let error = start(vec![pem(broken)]).await.unwrap_err();
    assert!(error.to_string().contains("extra.crt"), "{error}");
}

#[tokio::test]
async fn a_proxy_is_used_for_what_it_is_for() {
    let proxy = FakeRegistry::start();
    let registry = FakeRegistry::start();
    let client = async |exceptions: &str| {
        Client::start(ClientConfig {
            proxies: Proxies {
                http: Some(format!("http://{}", proxy.authority())),
                https: None,
                exceptions: Some(exceptions.to_owned()),
            },
            ..named()
        })
        .await
        .unwrap()
    };
    let app = repository(&registry, "app");
    let blob = Digest::of(b"x");
    client("127.0.0.0/8")
        .await
        .blob_size(&app, blob)
        .await
        .unwrap();
    assert_eq!(proxy.log(), []);
    let seen = registry.log().len();
    drop(client("other.test").await.blob_size(&app, blob).await);
    // The fake is no proxy, but it was asked instead of the registry.
    assert_eq!(registry.log().len(), seen);
    let log = proxy.log();
    let asked = |r: &kigumi_testkit::LoggedRequest| r.path.starts_with("http://127.0.0.1");
    assert!(log.iter().any(asked), "{log:?}");
}

/// `--registry-client-cert`.
#[tokio::test]
async fn a_registry_that_wants_a_client_certificate_gets_the_one_that_is_for_it() {
    let identity = kigumi_testkit::Identity::new("client.test");
    let registry = FakeRegistry::builder()
        .tls(&["registry.test"])
        .only_for_clients_of(&identity.certificate)
        .start();
    let reference = at(&registry, "registry.test");
    let this = Repository::of(&reference).registry().clone();
    let with = |names: &Registry, identity: &kigumi_testkit::Identity| ClientConfig {
        roots: vec![Pem {
            origin: "test.pem".to_owned(),
            bytes: registry.certificate().into(),
        }],
        client_certificates: [(names.clone(), certificate_of(identity))].into(),
        ..named()
    };
    let client = Client::start(with(&this, &identity)).await.unwrap();
    works(&client, &reference, Direction::Push).await.unwrap();
    works(&client, &reference, Direction::Pull).await.unwrap();

    let other = Registry::new("other.test");
    let client = Client::start(with(&other, &identity)).await.unwrap();
    works(&client, &reference, Direction::Pull)
        .await
        .unwrap_err();

    let stranger = kigumi_testkit::Identity::new("stranger.test");
    let mixed = kigumi_testkit::Identity {
        key: stranger.key,
        ..identity
    };
    let error = Client::start(with(&this, &mixed)).await.unwrap_err();
    assert!(chain(&error).contains("client.crt"), "{}", chain(&error));
}

fn certificate_of(identity: &kigumi_testkit::Identity) -> ClientCertificate {
    ClientCertificate {
        chain: Pem {
            origin: "client.crt".to_owned(),
            bytes: identity.certificate.clone().into(),
        },
        key: Secret::new(identity.key.clone().into()),
    }
}
