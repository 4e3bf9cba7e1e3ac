//! Layers that are found by what is read, and how they are found the next time.

use kigumi_testkit::FakeRegistry;

use super::harness::{Invocation, Outcome};

/// Its first stage may be made again with the same `x`.
const DOCKERFILE: &str =
    "FROM scratch AS made\nCOPY a /x\nCOPY b /y\nFROM scratch\nCOPY --from=made /x /\n";
/// What the log says of a stage whose readers are all in the cache.
const AT_ONCE: &str = "is not needed";

fn build(registry: &FakeRegistry, b: &str, more: &[&str]) -> Outcome {
    let destination = registry.reference("app:1");
    let words = ["-d", &destination, "--cache", "--cache-copy-layers"];
    let build = Invocation::build(DOCKERFILE).args(&words).args(more);
    let outcome = build.file("context/b", b).run();
    outcome.succeeds();
    outcome
}

/// T-CACHE-11
#[test]
fn a_layer_that_was_found_by_its_content_is_found_by_where_it_is_from_the_next_time() {
    let registry = FakeRegistry::start();
    build(&registry, "one", &[]);
    let changed = build(&registry, "two", &[]);
    changed.says("[stage-1 1/1] is in the cache");
    changed.is_silent_about(AT_ONCE);
    build(&registry, "two", &[]).says(AT_ONCE);
}

#[test]
fn a_build_that_only_reads_the_cache_leaves_what_it_found_where_it_is() {
    let registry = FakeRegistry::start();
    build(&registry, "one", &[]);
    for _ in 0..2 {
        let reader = build(&registry, "two", &["--no-push-cache"]);
        reader.is_silent_about(AT_ONCE);
    }
}
