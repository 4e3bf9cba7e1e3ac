//! Kubernetes' own schemas as the judge of manifests, and a reader of YAML: programs of others, never part of the product.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::state::State;
use crate::tool;

/// What pip takes, with versions and hashes.
const PINNED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/platforms/requirements.txt");
/// The release whose schemas are asked: old enough that every cluster has it.
const RELEASE: &str = "1.30";

const READ: &str = "import json, sys, yaml
json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
const JUDGE: &str = "import sys, yaml, kubernetes_validate
for document in yaml.safe_load_all(open(sys.argv[1])):
    kubernetes_validate.validate(document, sys.argv[2], strict=True)";

/// The documents of a YAML file.
pub fn read_yaml(path: &Path) -> Result<Vec<Value>> {
    let output = tool::run(python(READ)?.arg(path))?;
    serde_json::from_str(&output.stdout).with_context(|| format!("read {}", path.display()))
}

/// Fails unless Kubernetes' own schema knows every field of a manifest and misses none.
pub fn judge_manifest(manifest: &Value) -> Result<()> {
    let file = tempfile::NamedTempFile::new().context("a file for a manifest")?;
    fs::write(file.path(), manifest.to_string())?;
    tool::run(python(JUDGE)?.arg(file.path()).arg(RELEASE))?;
    Ok(())
}

fn python(program: &str) -> Result<Command> {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages()?).args(["-c", program]);
    Ok(command)
}

/// Fetches the packages from the package index, once, and says where they are.
fn packages() -> Result<PathBuf> {
    let state = State::locate()?;
    let directory = state.directory("kubernetes-validate-1.37.0")?;
    let _lock = state.lock("kubernetes-validate")?;
    let complete = directory.join("complete");
    if !complete.is_file() {
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"];
        tool::again(|| {
            tool::run(
                Command::new("python3")
                    .args(install)
                    .args([
                        "--require-hashes",
                        "--only-binary=:all:",
                        "--root-user-action=ignore",
                    ])
                    .args(["--requirement", PINNED, "--target"])
                    .arg(&directory),
            )
        })
        .context("install kubernetes-validate")?;
        ensure!(
            directory.join("yaml").is_dir(),
            "the package pyyaml has no `yaml`"
        );
        fs::write(complete, "")?;
    }
    Ok(directory)
}
