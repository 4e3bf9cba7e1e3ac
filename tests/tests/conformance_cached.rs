//! The cases of `tests/conformance` once more: a build from the cache makes the image that a build without one makes, bit for bit.
//!
//! Each case is built three times under one `SOURCE_DATE_EPOCH`, each time where nothing is left of the builds before but the cache: without
//! one, with an empty one, and with the one that this left. Cases that fail have to fail with the same words.

use std::env;

use anyhow::{Result, bail, ensure};
use kigumi_tests::Lab;
use kigumi_tests::conformance::{
    Build, Case, Compared, Comparison, PublicExecutor, Suite, compare,
};
use kigumi_tests::lab::build_executor;

/// `KIGUMI_CASES` takes the cases whose name contains one of these words: for work on one of them.
fn wanted(name: &str) -> bool {
    let words = env::var("KIGUMI_CASES").unwrap_or_default();
    words.is_empty() || words.split_whitespace().any(|word| name.contains(word))
}

fn conclude(comparison: &Comparison) -> Result<()> {
    ensure!(!comparison.cases.is_empty(), "no case is called so");
    ensure!(
        comparison.failures() == 0,
        "{} cases differ",
        comparison.failures()
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
    let takes = |case: &Case| !case.needs_run && wanted(&case.name);
    let comparison = suite.compare(4, how, takes);
    println!("{comparison}");
    conclude(&comparison)
}

// T-CACHE-16
#[test]
fn cases_with_run_make_the_same_image_from_the_cache_in_another_pod() -> Result<()> {
    let suite = Suite::load()?;
    let how = Build::Pod { lab: Lab::get()? };
    let takes = |case: &Case| case.needs_run && wanted(&case.name);
    let comparison = suite.compare(2, how, takes);
    println!("{comparison}");
    conclude(&comparison)
}

// T-CACHE-19
#[test]
fn a_run_that_does_not_make_the_same_twice_is_noticed() -> Result<()> {
    let suite = Suite::load()?;
    let (case, _) = suite.case("config-busybox-bare")?;
    let dockerfile = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\n";
    let case = case.clone().with_dockerfile(dockerfile);
    let compared = compare(&case, Build::Pod { lab: Lab::get()? })?;
    let Compared::Differs(how) = compared else {
        bail!("{compared:?}");
    };
    ensure!(how.starts_with("with an empty cache "), "{how}");
    Ok(())
}
