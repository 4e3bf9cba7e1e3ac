//! A cache that has lost much.

use std::fs;
use std::path::Path;

use super::harness::{Invocation, Outcome};

/// Steps that are kept, and lost.
const STEPS: usize = 9;

fn build(cache: &Path) -> Outcome {
    let copies: Vec<String> = (0..STEPS).map(|step| format!("COPY a /{step}\n")).collect();
    let cache = format!("--cache-repo=oci:{}", cache.display());
    let words = [
        "--cache",
        "--cache-copy-layers",
        &cache,
        "--source-date-epoch=1700000000",
        "--no-push",
        "--oci-layout-path=out",
    ];
    let build = Invocation::build(&format!("FROM scratch\n{}", copies.concat()));
    build.args(&words).run()
}

/// Changes every layer below a directory, and none of their sizes.
fn spoil(directory: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += spoil(&path);
        } else if fs::read(&path).unwrap().starts_with(&[0x1f, 0x8b]) {
            let size = fs::read(&path).unwrap().len();
            fs::write(&path, vec![0x1f; size]).unwrap();
            count += 1;
        }
    }
    count
}

#[test]
fn a_cache_whose_layers_are_all_broken_costs_few_new_beginnings_and_is_whole_afterwards() {
    let cache = tempfile::tempdir().unwrap();
    let first = build(cache.path());
    let digest = first.succeeds().image().digest;
    assert_eq!(spoil(cache.path()), STEPS);
    let second = build(cache.path());
    assert_eq!(second.succeeds().image().digest, digest);
    // Three, if it did not begin in the very second in which the first one began.
    let beginnings = second.stderr.matches("begins again").count();
    assert!((3..=6).contains(&beginnings), "{}", second.stderr);
    second.says("nothing from the cache that other builds have kept");
    let third = build(cache.path());
    third.succeeds().is_silent_about("begins again");
    assert_eq!(third.stderr.matches(" is in the cache: ").count(), STEPS);
    assert_eq!(third.image().digest, digest);
}
