//! `executor lint`, judged by hadolint, and rules at the start of a build.

mod agreement;
mod builds;
mod dockerfiles;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use kigumi_tests::lab::build_executor;

/// What a program left behind.
struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the executor as an ordinary process in a directory.
fn executor(directory: &Path, words: &[&str]) -> Result<Output> {
    let mut command = Command::new(build_executor()?);
    run(command.args(words).current_dir(directory))
}

fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().context("start a program")?;
    Ok(Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
