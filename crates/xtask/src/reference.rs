//! `docs/reference.md`, made from the flags and variables themselves.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::cargo::{cargo, workspace};

/// Where it is, from the root of the repository.
const PAGE: &str = "docs/reference.md";

/// Writes the page.
pub(crate) fn run(_arguments: &[String]) -> Result<()> {
    fs::write(path(), made()?).with_context(|| format!("write {PAGE}"))
}

/// Fails when the page is not what the flags say.
pub(crate) fn check() -> Result<()> {
    let there = fs::read_to_string(path()).with_context(|| format!("read {PAGE}"))?;
    ensure!(
        there == made()?,
        "{PAGE} is not current: run `cargo xtask reference`"
    );
    Ok(())
}

fn path() -> PathBuf {
    workspace().join(PAGE)
}

fn made() -> Result<String> {
    let executor = [
        "run",
        "--quiet",
        "-p",
        "kigumi-executor",
        "--bin",
        "executor",
        "--",
        "reference",
    ];
    let output = cargo(executor)
        .stderr(Stdio::inherit())
        .output()
        .context("run the executor")?;
    ensure!(output.status.success(), "`executor reference` failed");
    String::from_utf8(output.stdout).context("read what the executor printed")
}
