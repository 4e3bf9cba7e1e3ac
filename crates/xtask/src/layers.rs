//! The crate map as a table, checked against `cargo metadata`; and the `clippy.toml` files, which
//! clippy does not merge, checked against each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::cargo::{cargo, workspace};

/// A crate and the workspace crates that it may use. Whoever adds a line here writes an ADR.
const MAY_USE: &[(&str, &[&str])] = &[
    ("oci", &[]),
    ("dockerfile", &[]),
    ("plan", &["oci", "dockerfile"]),
    ("layer", &["oci"]),
    ("registry", &["oci"]),
    ("rootfs", &["oci", "layer"]),
    ("run", &["layer", "rootfs"]),
    ("context", &["dockerfile", "layer", "rootfs"]),
    (
        "executor",
        &[
            "oci",
            "dockerfile",
            "plan",
            "layer",
            "registry",
            "rootfs",
            "run",
            "context",
        ],
    ),
    (
        "testkit",
        &["oci", "dockerfile", "layer", "registry", "rootfs", "run"],
    ),
    // The judge shares no code with what it judges.
    ("tests", &[]),
    ("xtask", &["tests"]),
];

/// What any crate may use in its tests.
const IN_TESTS: &[&str] = &["testkit"];

/// Crates of others that have one door into the product, or few. `deny.toml` bans the detours.
const DOORS: &[(&str, &[&str])] = &[
    ("reqwest", &["registry"]),
    ("oci-client", &["registry"]),
    ("tokio", &["registry", "context", "executor", "testkit"]),
    (
        "tokio-util",
        &["registry", "context", "executor", "testkit"],
    ),
    // gitoxide: its interfaces change monthly, so one crate knows them.
    ("gix-protocol", &["context"]),
    ("gix-transport", &["context"]),
    ("gix-pack", &["context"]),
    ("gix-object", &["context"]),
    ("libc", &["run"]),
];

pub(crate) fn run(_arguments: &[String]) -> Result<()> {
    let metadata = cargo(["metadata", "--format-version=1", "--no-deps"]).output()?;
    ensure!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let metadata: Value = serde_json::from_slice(&metadata.stdout).context("parse metadata")?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("no packages")?;
    let mut faults: Vec<String> = packages.iter().flat_map(faults_of).collect();
    faults.extend(clippy_faults(&workspace())?);
    if !faults.is_empty() {
        bail!("the crate map is broken:\n  {}", faults.join("\n  "));
    }
    println!(
        "layers: {} crates as the map says, clippy.toml files agree",
        packages.len()
    );
    Ok(())
}

fn faults_of(package: &Value) -> Vec<String> {
    let name = short_name(package);
    let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
        return vec![format!(
            "`{name}` is not on the map (crates/xtask/src/layers.rs)"
        )];
    };
    let dependencies = package.get("dependencies").and_then(Value::as_array);
    dependencies
        .into_iter()
        .flatten()
        .filter(|dependency| !may_use(&name, allowed, dependency))
        .map(|dependency| format!("`{name}` must not use `{}`", short_name(dependency)))
        .collect()
}

fn may_use(name: &str, allowed: &[&str], dependency: &Value) -> bool {
    let used = short_name(dependency);
    if dependency.get("path").is_some_and(Value::is_string) {
        let in_tests = dependency.get("kind").and_then(Value::as_str) == Some("dev");
        return allowed.contains(&used.as_str()) || in_tests && IN_TESTS.contains(&used.as_str());
    }
    let door = DOORS.iter().find(|(guarded, _)| *guarded == used);
    door.is_none_or(|(_, users)| users.contains(&name))
}

fn short_name(value: &Value) -> String {
    let name = value
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    name.strip_prefix("kigumi-").unwrap_or(name).to_owned()
}

/// Thresholds and test allowances must be the same everywhere; bans may be added, and the ban of
/// `std::process::exit` holds for all.
fn clippy_faults(root: &Path) -> Result<Vec<String>> {
    let common = common_lines(&root.join("clippy.toml"))?;
    let mut faults = Vec::new();
    for entry in fs::read_dir(root.join("crates")).context("list crates")? {
        let file = entry?.path().join("clippy.toml");
        if file.is_file() && common_lines(&file)? != common {
            let different: Vec<_> = common_lines(&file)?
                .symmetric_difference(&common)
                .cloned()
                .collect();
            faults.push(format!("{}: {}", file.display(), different.join(", ")));
        }
    }
    Ok(faults)
}

fn common_lines(file: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let is_common = |line: &&str| {
        let is_setting = line.starts_with(|first: char| first.is_ascii_lowercase());
        is_setting && !line.starts_with("disallowed-") || line.contains("std::process::exit")
    };
    Ok(text
        .lines()
        .filter(is_common)
        .map(|line| line.trim().to_owned())
        .collect())
}
