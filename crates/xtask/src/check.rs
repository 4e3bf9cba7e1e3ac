//! What must be clean before every push.

use anyhow::Result;

use crate::cargo::{cargo, run as run_command};
use crate::{deny, layers, reference, requirements};

pub(crate) fn run(_arguments: &[String]) -> Result<()> {
    run_command(&mut cargo(["fmt", "--all", "--check"]))?;
    // A workspace of its own, whose library the executor's tests compile.
    let fuzz = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"];
    run_command(&mut cargo(fuzz))?;
    // With what its lock file says, and not with what is newest.
    let fuzz = ["fetch", "--locked", "--manifest-path", "fuzz/Cargo.toml"];
    run_command(&mut cargo(fuzz))?;
    layers::run(&[])?;
    requirements::run(&[])?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    run_command(&mut cargo(clippy))?;
    reference::check()?;
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
    run_command(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    deny::run(&[])
}
