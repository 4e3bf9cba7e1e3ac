//! The cases of `tests/conformance` once more: a build from the cache makes the image that a build without one makes, bit for bit.
//!
//! Each case is built three times under one `SOURCE_DATE_EPOCH`, each time where nothing is left of the builds before but the cache: without
//! one, with an empty one, and with the one that this left. Cases that fail have to fail with the same words.

use std::env;

use anyhow::{Result, ensure};
use kigumi_tests::Lab;
use kigumi_tests::conformance::{Build, Comparison, PublicExecutor, Suite};
use kigumi_tests::lab::build_executor;

/// Cases whose RUNs do not make the same twice, and why. Each has to differ without a cache as well.
const UNSTEADY: &[(&str, &str)] = &[];

/// Cases of which a build makes layers again that are in the cache, and why.
const MADE_AGAIN: &[(&str, &str)] = &[];

/// `KIGUMI_CASES` takes the cases whose name contains one of these words: for work on one of them.
fn wanted(name: &str) -> bool {
    let words = env::var("KIGUMI_CASES").unwrap_or_default();
    words.is_empty() || words.split_whitespace().any(|word| name.contains(word))
}

fn is_unsteady(name: &str) -> bool {
    UNSTEADY.iter().any(|(unsteady, _)| *unsteady == name)
}

fn conclude(comparison: &Comparison) -> Result<()> {
    println!("{comparison}");
    ensure!(!comparison.cases.is_empty(), "no case is called so");
    ensure!(
        comparison.failures() == 0,
        "{} cases differ",
        comparison.failures()
    );
    let listed = MADE_AGAIN.iter().map(|(name, _)| *name);
    let listed: Vec<&str> = listed
        .filter(|name| comparison.cases.contains_key(*name))
        .collect();
    let made_again = comparison.made_again();
    ensure!(
        made_again == listed,
        "made again: {made_again:?}, listed: {listed:?}"
    );
    Ok(())
}

// T-CACHE-16
#[test]
fn cases_without_run_make_the_same_image_from_the_cache() -> Result<()> {
    let suite = Suite::load()?;
    let executor = PublicExecutor::new(&build_executor()?)?;
    let how = Build::Process {
        executor: &executor.path(),
    };
    let takes = |name: &str, needs_run: bool| !needs_run && wanted(name);
    let comparison = suite.compare(
        4,
        how,
        |case| takes(&case.name, case.needs_run),
        is_unsteady,
    );
    conclude(&comparison)
}

// T-CACHE-16
#[test]
fn cases_with_run_make_the_same_image_from_the_cache_in_another_pod() -> Result<()> {
    let suite = Suite::load()?;
    let how = Build::Pod { lab: Lab::get()? };
    let takes = |name: &str, needs_run: bool| needs_run && wanted(name);
    let comparison = suite.compare(
        2,
        how,
        |case| takes(&case.name, case.needs_run),
        is_unsteady,
    );
    conclude(&comparison)
}
