//! The cases of `tests/conformance/cases`, whose results BuildKit gave.

use std::env;

use anyhow::{Result, ensure};
use kigumi_tests::Lab;
use kigumi_tests::conformance::{Build, Report, Suite};
use kigumi_tests::lab::build_executor;

/// `KIGUMI_CASES` takes the cases whose name contains one of these words: for work on one of them.
fn wanted(name: &str) -> bool {
    let words = env::var("KIGUMI_CASES").unwrap_or_default();
    words.is_empty() || words.split_whitespace().any(|word| name.contains(word))
}

fn conclude(report: &Report) -> Result<()> {
    println!("{report}");
    ensure!(report.total() > 0, "no case");
    ensure!(report.failures() == 0, "{} cases failed", report.failures());
    Ok(())
}

#[test]
fn cases_without_run_give_what_buildkit_gives_and_need_no_privilege() -> Result<()> {
    let suite = Suite::load()?;
    let executor = build_executor()?;
    let how = Build::Process {
        executor: &executor,
    };
    conclude(&suite.run(4, how, |case| !case.needs_run && wanted(&case.name)))
}

#[test]
fn cases_with_run_give_in_an_ordinary_pod_what_buildkit_gives() -> Result<()> {
    let suite = Suite::load()?;
    let how = Build::Pod { lab: Lab::get()? };
    conclude(&suite.run(2, how, |case| case.needs_run && wanted(&case.name)))
}
