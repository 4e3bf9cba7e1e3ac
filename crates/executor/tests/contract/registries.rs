//! Flags and variables about registries.

use kigumi_testkit::{Action, FakeRegistry, Fault, TestImage, When};

use crate::Row;
use crate::harness::{Invocation, Outcome, text};

pub(crate) const ROWS: &[Row] = &[
    ("--destination", destination),
    ("--no-push", no_push),
    ("KANIKO_NO_PUSH", kaniko_no_push),
    ("--insecure", || allows_http("--insecure", Direction::Push)),
    ("--insecure-pull", || {
        allows_http("--insecure-pull", Direction::Pull);
    }),
    ("--insecure-registry", || {
        allows_http("--insecure-registry=HOST", Direction::Push);
        allows_http("--insecure-registry=HOST", Direction::Pull);
    }),
    ("--skip-tls-verify", || {
        trusts("--skip-tls-verify", Direction::Push);
        trusts("--skip-tls-verify", Direction::Pull);
    }),
    ("--skip-tls-verify-pull", || {
        trusts("--skip-tls-verify-pull", Direction::Pull);
    }),
    ("--skip-tls-verify-registry", || {
        trusts("--skip-tls-verify-registry=HOST", Direction::Push);
        trusts("--skip-tls-verify-registry=HOST", Direction::Pull);
    }),
    ("--registry-certificate", || {
        trusts("--registry-certificate=HOST=ca.pem", Direction::Push);
        trusts("--registry-certificate=HOST=ca.pem", Direction::Pull);
    }),
    ("--skip-push-permission-check", skip_push_permission_check),
    ("SSL_CERT_FILE", || {
        with_certificates("SSL_CERT_FILE", "ca.pem");
    }),
    ("SSL_CERT_DIR", || {
        with_certificates("SSL_CERT_DIR", "certificates");
    }),
    ("HTTP_PROXY", http_proxy),
    ("UPSTREAM_CLIENT_TYPE", upstream_client_type),
    ("--registry-mirror", registry_mirror),
    ("KANIKO_REGISTRY_MIRROR", kaniko_registry_mirror),
    ("--registry-map", registry_map),
    ("KANIKO_REGISTRY_MAP", kaniko_registry_map),
    (
        "--skip-default-registry-fallback",
        skip_default_registry_fallback,
    ),
    (
        "--push-ignore-immutable-tag-errors",
        push_ignore_immutable_tag_errors,
    ),
    ("--push-retry", push_retry),
    ("--image-download-retry", image_download_retry),
];

const COPY: &str = "FROM scratch\nCOPY a /\n";

/// This machine, by an address that is not loopback.
const HOST: &str = "0.0.0.0";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Pull,
    Push,
}

fn destination() {
    let registry = FakeRegistry::start();
    let (first, second) = (registry.reference("a:1"), registry.reference("b/c"));
    let words = [
        "-d",
        &first,
        "--destination",
        &second,
        "--insecure",
        "--digest-file=d",
    ];
    let outcome = Invocation::build(COPY).args(&words).run();
    let digest = outcome.succeeds().read("d");
    for (repository, tag) in [("a", "1"), ("b/c", "latest")] {
        let (_, bytes) = registry.manifest(repository, tag).unwrap();
        assert_eq!(kigumi_oci::Digest::of(&bytes).to_string(), digest);
    }
    Invocation::build(COPY).run().fails("no --destination");
    Invocation::build(COPY)
        .args(&["-d", "r.test/UPPER"])
        .run()
        .fails("r.test/UPPER");
}

fn pushes(words: &[&str], variables: &[(&str, &str)]) -> bool {
    let registry = FakeRegistry::start();
    let build = Invocation::build(COPY)
        .args(&["--insecure", "-d", &registry.reference("a:1")])
        .args(words);
    let build = variables
        .iter()
        .fold(build, |build, (name, value)| build.env(name, value));
    build.run().succeeds();
    registry.manifest("a", "1").is_some()
}

fn no_push() {
    assert!(pushes(&[], &[]));
    for word in ["--no-push", "--no-push=1", "--no-push=T"] {
        assert!(!pushes(&[word], &[]), "{word}");
    }
}

fn kaniko_no_push() {
    for (value, pushed) in [
        ("true", false),
        ("1", false),
        ("f", true),
        ("maybe", true),
        ("", true),
    ] {
        assert_eq!(pushes(&[], &[("KANIKO_NO_PUSH", value)]), pushed, "{value}");
    }
    assert!(pushes(&["--no-push=false"], &[("KANIKO_NO_PUSH", "true")]));
}

/// Pulls from or pushes to the registry, with a certificate at hand. `HOST` in the words is the registry.
fn through(registry: &FakeRegistry, direction: Direction, words: &[&str]) -> Outcome {
    TestImage::new().publish(registry, "base", "1");
    // Any address of this machine is as good, and loopback needs no flag for plain HTTP.
    let authority = registry.authority().replace("127.0.0.1", HOST);
    let base = format!("{authority}/base:1");
    let file = match direction {
        Direction::Pull => format!("FROM {base}\nLABEL a=b\n"),
        Direction::Push => COPY.to_owned(),
    };
    let destination = format!("{authority}/app:1");
    let to = match direction {
        Direction::Pull => ["--no-push", "--custom-platform=linux/amd64"],
        Direction::Push => ["-d", &destination],
    };
    let words = words.iter().map(|word| word.replace("HOST", &authority));
    let words: Vec<String> = words.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let build = Invocation::build(&file).file("ca.pem", registry.certificate());
    build.args(&to).args(&words).run()
}

fn allows_http(word: &str, direction: Direction) {
    let registry = FakeRegistry::start();
    through(&registry, direction, &[word]).succeeds();
    let other = match direction {
        Direction::Pull => Direction::Push,
        Direction::Push => Direction::Pull,
    };
    // Without the flag, for another host (K-FLAG-02), and in the other direction.
    let mut refused = vec![
        (direction, "--force"),
        (direction, "--insecure-registry=other.test"),
    ];
    if !word.contains("HOST") {
        refused.push((other, word));
    }
    std::thread::scope(|scope| {
        for (direction, word) in refused {
            let registry = &registry;
            scope.spawn(move || assert_eq!(through(registry, direction, &[word]).code, 1));
        }
    });
}

fn trusts(word: &str, direction: Direction) {
    let registry = FakeRegistry::builder().tls(&["127.0.0.1", HOST]).start();
    assert_eq!(through(&registry, direction, &[]).code, 1);
    through(&registry, direction, &[word]).succeeds();
    assert_eq!(
        through(
            &registry,
            direction,
            &["--skip-tls-verify-registry=other.test"]
        )
        .code,
        1,
        "K-FLAG-02"
    );
}

fn skip_push_permission_check() {
    let questions = |words: &[&str]| {
        let registry = FakeRegistry::start();
        let mut all = vec!["--insecure"];
        all.extend(words);
        through(&registry, Direction::Push, &all).succeeds();
        registry.requests("DELETE").len()
    };
    assert_eq!(
        (questions(&[]), questions(&["--skip-push-permission-check"])),
        (1, 0)
    );
}

/// K-AUTH-07
fn with_certificates(name: &str, path: &str) {
    let registry = FakeRegistry::builder().tls(&["127.0.0.1", HOST]).start();
    let build = Invocation::build(COPY).file("ca.pem", registry.certificate());
    std::fs::create_dir(build.path("certificates")).unwrap();
    let build = build.file("certificates/additional.crt", registry.certificate());
    let path = build.path(path).display().to_string();
    build
        .env(name, &path)
        .args(&["-d", &registry.reference("a:1")])
        .run()
        .succeeds();
}

fn http_proxy() {
    let proxy = FakeRegistry::start();
    let address = format!("http://{}", proxy.authority());
    let words = ["-d", "registry.test/a:1", "--insecure", "--push-retry=0"];
    let build = Invocation::build(COPY)
        .env("HTTP_PROXY", &address)
        .env("HTTPS_PROXY", &address);
    build.args(&words).run();
    let asked = proxy
        .log()
        .iter()
        .any(|request| request.path.contains("registry.test"));
    assert!(asked || proxy.begun("CONNECT") > 0, "{:?}", proxy.log());
}

fn upstream_client_type() {
    let registry = FakeRegistry::start();
    let build = Invocation::build(COPY).env("UPSTREAM_CLIENT_TYPE", "UpstreamClient(test)");
    build
        .args(&["-d", &registry.reference("a:1"), "--insecure"])
        .run()
        .succeeds();
    for request in registry.log() {
        let agent = text(&request.header("user-agent").unwrap_or_default().into());
        assert!(
            agent.starts_with("kigumi/") && agent.ends_with(",UpstreamClient(test)"),
            "{agent}"
        );
    }
}

/// Whether a base is taken from another place than its name says.
fn is_found(base: &str, words: &[&str], variables: &[(&str, &str)]) -> bool {
    let build = Invocation::build(&format!("FROM {base}\nLABEL a=b\n"));
    let build = variables
        .iter()
        .fold(build, |build, (name, value)| build.env(name, value));
    let words_of_all = ["--no-push", "--custom-platform=linux/amd64"];
    build.args(&words_of_all).args(words).run().code == 0
}

/// A registry that has an image as a mirror of Docker Hub would.
fn mirror() -> FakeRegistry {
    let mirror = FakeRegistry::start();
    TestImage::new().publish(&mirror, "library/base", "1");
    TestImage::new().publish(&mirror, "hub/library/base", "2");
    mirror
}

/// Nobody else is asked: a test has no network.
const STRICT: &str = "--skip-default-registry-fallback";

fn registry_mirror() {
    let mirror = mirror();
    let word = format!("--registry-mirror={}", mirror.authority());
    assert!(is_found("base:1", &[STRICT, &word], &[]));
    assert!(!is_found("base:2", &[STRICT, &word], &[]));
    let below = format!("{word}/hub");
    assert!(is_found("base:2", &[STRICT, &below], &[]));
    // In order, and never for another registry than Docker Hub.
    assert!(is_found("base:2", &[STRICT, &word, &below], &[]));
    assert!(!is_found("127.0.0.1:1/library/base:1", &[&word], &[]));
}

fn kaniko_registry_mirror() {
    let mirror = mirror();
    let variables = [("KANIKO_REGISTRY_MIRROR", mirror.authority())];
    assert!(is_found("base:1", &[STRICT], &variables));
}

fn registry_map() {
    let mirror = mirror();
    let map = format!(
        "--registry-map=a.test={0};b.test={0}/hub",
        mirror.authority()
    );
    assert!(is_found("a.test/library/base:1", &[STRICT, &map], &[]));
    assert!(is_found("b.test/library/base:2", &[STRICT, &map], &[]));
    assert!(!is_found("a.test/library/base:2", &[STRICT, &map], &[]));
}

fn kaniko_registry_map() {
    let mirror = mirror();
    let map = format!("a.test={}", mirror.authority());
    let variables = [("KANIKO_REGISTRY_MAP", map.as_str())];
    assert!(is_found("a.test/library/base:1", &[STRICT], &variables));
}

fn skip_default_registry_fallback() {
    let (original, mirror) = (FakeRegistry::start(), FakeRegistry::start());
    TestImage::new().publish(&original, "base", "1");
    let map = format!(
        "--registry-map={}={}",
        original.authority(),
        mirror.authority()
    );
    let base = original.reference("base:1");
    assert!(is_found(&base, &[&map], &[]), "the original has it");
    assert!(!is_found(&base, &[&map, STRICT], &[]), "and is not asked");
}

fn push_ignore_immutable_tag_errors() {
    let registry = FakeRegistry::start();
    TestImage::new().publish(&registry, "a", "1");
    let words = "The repository has enabled tag immutability";
    let always = When::next("PUT", "/manifests/").always();
    registry.fail(Fault::new(always, Action::error(400, "DENIED", words)));
    let build = || Invocation::build(COPY).args(&["--insecure", "-d", &registry.reference("a:1")]);
    build().run().fails("tag immutability");
    let word = "--push-ignore-immutable-tag-errors";
    build()
        .args(&[word])
        .run()
        .succeeds()
        .says("names another image");
}

/// K-FLAG-01. How long the pauses become is not waited for here: the log says how many attempts there will be.
fn is_tried_again(flag: &str, method: &str, direction: Direction) {
    let says = |words: &[&str], attempts: &str| {
        let registry = FakeRegistry::start();
        let busy = When::next(method, "/manifests/").times(2);
        registry.fail(Fault::new(busy, Action::error(503, "UNAVAILABLE", "busy")));
        let both = ["--insecure", "--insecure-pull"];
        let words: Vec<&str> = words.iter().copied().chain(both).collect();
        let outcome = through(&registry, direction, &words);
        outcome.succeeds().says(attempts);
    };
    says(&[], "attempt 1 of 5");
    says(&[&format!("{flag}=2")], "attempt 1 of 5");
    says(&[&format!("{flag}=7")], "attempt 1 of 8");
}

fn push_retry() {
    is_tried_again("--push-retry", "PUT", Direction::Push);
}

fn image_download_retry() {
    is_tried_again("--image-download-retry", "GET", Direction::Pull);
}
