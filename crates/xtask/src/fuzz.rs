//! Running the fuzz targets: libFuzzer with a stable toolchain. `fuzz/README.md` says what they check.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::cargo::{cargo, run as run_command, workspace};

/// Coverage for libFuzzer. These are options of LLVM, which every toolchain takes; only sanitizers would need a nightly one.
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg",
    "fuzzing",
];

/// How long a target runs unless said otherwise, in seconds.
const SECONDS: &str = "60";

/// `fuzz [TARGET [SECONDS]]`: one target, or all of them.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut targets = targets()?;
    if let Some(wanted) = arguments.first() {
        ensure!(
            targets.contains(wanted),
            "no target is called `{wanted}`; there are {}",
            targets.join(", ")
        );
        targets = vec![wanted.clone()];
    }
    let seconds = arguments.get(1).map_or(SECONDS, String::as_str);
    targets.iter().try_for_each(|target| one(target, seconds))
}

fn home() -> PathBuf {
    workspace().join("fuzz")
}

/// Where cargo builds, in this checkout.
fn target_directory() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| workspace().join("target"))
}

/// The names of the targets: those of their files.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(home().join("fuzz_targets")).context("list fuzz targets")? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn one(target: &str, seconds: &str) -> Result<()> {
    // A target of its own keeps the flags away from build scripts.
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let corpus = home().join("corpus").join(target);
    let artifacts = home().join("artifacts").join(target);
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    }
    let mut command = cargo(["run", "--locked", "--release", "--quiet"]);
    command.args(["--bin", target, "--target", &triple, "--"]);
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-artifact_prefix={}/", artifacts.display()),
        "-timeout=20".to_owned(),
        "-rss_limit_mb=2048".to_owned(),
        "-max_len=4096".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]);
    command.arg(&corpus);
    command
        .current_dir(home())
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("CARGO_TARGET_DIR", target_directory().join("fuzz"))
        .env("KIGUMI_FUZZ_SEEDS", &corpus);
    run_command(&mut command)
}
