//! What is not made or fetched twice.

use kigumi_testkit::{FakeRegistry, TestImage};

use crate::Row;
use crate::harness::{Invocation, Outcome};

pub(crate) const ROWS: &[Row] = &[
    ("--cache", cache),
    ("--cache-repo", cache_repo),
    ("--cache-copy-layers", cache_copy_layers),
    ("--cache-run-layers", cache_run_layers),
    ("--cache-ttl", cache_ttl),
    ("--no-push-cache", no_push_cache),
    ("--cache-dir", || warmed("--cache-dir")),
    ("warmer", || warmed("-c")),
];

const COPY: &str = "FROM scratch\nCOPY a /\n";
/// What the log says of an instruction that was not carried out.
const REUSED: &str = " is in the cache: ";

/// A build that is pushed to `app:1` of the registry.
fn build(registry: &FakeRegistry, words: &[&str]) -> Outcome {
    let destination = registry.reference("app:1");
    let build = Invocation::build(COPY).args(&["-d", &destination, "--reproducible"]);
    build.args(words).run()
}

/// How many entries were written to a repository.
fn entries(registry: &FakeRegistry, repository: &str) -> usize {
    let place = format!("/v2/{repository}/manifests/");
    let put = registry.requests("PUT");
    put.iter()
        .filter(|one| one.path.starts_with(&place))
        .count()
}

const ALL: [&str; 2] = ["--cache", "--cache-copy-layers"];

fn cache() {
    let registry = FakeRegistry::start();
    build(&registry, &["--cache-copy-layers"]).succeeds();
    assert_eq!(entries(&registry, "app/cache"), 0, "nobody asked for it");
    for word in ["--cache=false", "--cache=f"] {
        build(&registry, &[word, "--cache-copy-layers"]).succeeds();
    }
    assert_eq!(entries(&registry, "app/cache"), 0, "nobody wants it");
    build(&registry, &ALL).succeeds().is_silent_about(REUSED);
    // Beside the first destination.
    assert!(entries(&registry, "app/cache") > 0);
    build(&registry, &ALL).succeeds().says(REUSED);
    let words = ["--cache", "--no-push"];
    let refused = Invocation::build(COPY).args(&words).run();
    refused.fails("--cache-repo");
}

/// K-CACHE-01, K-CACHE-02
fn cache_repo() {
    let registry = FakeRegistry::start();
    let elsewhere = format!("--cache-repo={}", registry.reference("some/where"));
    let words = [ALL[0], ALL[1], &elsewhere];
    build(&registry, &words).succeeds();
    assert!(entries(&registry, "some/where") > 0 && entries(&registry, "app/cache") == 0);
    build(&registry, &words).succeeds().says(REUSED);
    let directory = tempfile::tempdir().unwrap();
    let layouts = format!("--cache-repo=oci:{}", directory.path().display());
    let words = [ALL[0], ALL[1], &layouts, "--no-push"];
    build(&registry, &words).succeeds().is_silent_about(REUSED);
    assert!(directory.path().read_dir().unwrap().count() > 0);
    build(&registry, &words).succeeds().says(REUSED);
}

fn cache_copy_layers() {
    let registry = FakeRegistry::start();
    for _ in 0..2 {
        build(&registry, &["--cache"])
            .succeeds()
            .is_silent_about(REUSED);
    }
    assert_eq!(entries(&registry, "app/cache"), 0);
    build(&registry, &ALL).succeeds();
    assert!(entries(&registry, "app/cache") > 0);
}

/// It is about WORKDIR too, which needs no container.
fn cache_run_layers() {
    let registry = FakeRegistry::start();
    let destination = registry.reference("app:1");
    let build = |words: &[&str]| {
        let build = Invocation::build("FROM scratch\nWORKDIR /w\n");
        let words_of_all = ["-d", &destination, "--reproducible", "--cache"];
        build.args(&words_of_all).args(words).run()
    };
    let without = "--cache-run-layers=false";
    build(&[without]).succeeds();
    assert_eq!(entries(&registry, "app/cache"), 0);
    build(&[]).succeeds().is_silent_about(REUSED);
    build(&[without]).succeeds().is_silent_about(REUSED);
    build(&["--cache-run-layers"]).succeeds().says(REUSED);
}

fn cache_ttl() {
    let registry = FakeRegistry::start();
    build(&registry, &ALL).succeeds();
    let with = |ttl| build(&registry, &[ALL[0], ALL[1], "--no-push-cache", ttl]);
    for ttl in ["--cache-ttl=336h0m0s", "--cache-ttl=6h"] {
        with(ttl).succeeds().says(REUSED);
    }
    // Ages are whole seconds: in some of the next ones it is older than nothing.
    let is_ignored = || {
        let outcome = with("--cache-ttl=0s");
        !outcome.succeeds().stderr.contains(REUSED)
    };
    assert!((0..1000).any(|_| is_ignored()));
    with("--cache-ttl=yesterday").fails("yesterday");
}

/// K-CACHE-03
fn no_push_cache() {
    let registry = FakeRegistry::start();
    build(&registry, &[ALL[0], ALL[1], "--no-push-cache"]).succeeds();
    assert_eq!(entries(&registry, "app/cache"), 0);
    build(&registry, &ALL).succeeds();
    let before = registry.requests("PUT").len();
    let words = [ALL[0], ALL[1], "--no-push", "--no-push-cache"];
    build(&registry, &words).succeeds();
    assert_eq!(registry.requests("PUT").len(), before, "nothing is written");
}

/// K-WARM-01, K-WARM-02, K-WARM-03: a base that was warmed is not read from its registry again.
fn warmed(flag: &str) {
    let registry = FakeRegistry::start();
    let base = registry.reference("base:1");
    let image = TestImage::new()
        .file("x", b"of the base")
        .publish(&registry, "base", "1");
    let warmer = Invocation::of(&["-i", &base, flag, "cache"]).called("warmer");
    let warm = warmer.run();
    warm.succeeds();
    let place = warm.directory.path().join("cache");
    let digest = kigumi_oci::Digest::of(image.manifest.bytes());
    assert!(place.join(digest.to_string()).join("index.json").is_file());
    registry.clear_log();
    let place = format!("--cache-dir={}", place.display());
    let file = format!("FROM scratch\nCOPY --from={base} x /\n");
    let words = [
        "--no-push",
        "--cache",
        "--cache-repo=oci:layers",
        "--custom-platform=linux/amd64",
    ];
    let build = || Invocation::build(&file).args(&words);
    let layer = format!("/blobs/{}", image.layers[0].digest);
    let reads = || {
        let read = registry.requests("GET");
        read.iter().filter(|one| one.path.ends_with(&layer)).count()
    };
    build().args(&[&place]).run().succeeds();
    assert_eq!(reads(), 0, "it is in the directory");
    build().args(&["--cache-dir=nowhere"]).run().succeeds();
    assert!(reads() > 0, "and nowhere else");
    Invocation::of(&["-i", &registry.reference("none:1"), flag, "cache"])
        .called("warmer")
        .run()
        .fails("none");
}
