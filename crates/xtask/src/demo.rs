//! The first thing a newcomer runs: a build in a container, its image in a registry, its program.

use std::path::Path;

use anyhow::{Result, ensure};
use kigumi_tests::lab::{build_executor, ensure_prerequisites, missing_prerequisites};
use kigumi_tests::{Context, Image, Lab, Peer, Pod};

use crate::cargo::workspace;

const NAME: &str = "demo/hello:latest";

pub(crate) fn run(_arguments: &[String]) -> Result<()> {
    let missing = missing_prerequisites();
    if missing.is_empty() {
        println!("[1/5] Everything the demo needs from Debian is installed.");
    } else {
        println!("[1/5] Installing from Debian: {}", missing.join(" "));
    }
    ensure_prerequisites()?;

    println!("[2/5] Building kigumi: a static binary (minutes the first time).");
    let binary = build_executor()?;
    println!("      {}", binary.display());

    println!("[3/5] Starting a registry and making base images from Debian packages.");
    let lab = Lab::get()?;
    let (debian, busybox) = (lab.debian()?, lab.busybox()?);
    println!("      {debian}\n      {busybox}");

    println!("[4/5] Building in a non-privileged container, as a Kubernetes pod would:");
    let example = workspace().join("tests/lab/demo");
    show_dockerfile(&example)?;
    let destination = lab.destination(NAME);
    let outcome = Pod::new(lab)
        .context(Context::copy_of(lab, &example)?)
        .args(["--destination", &destination])
        .args(["--build-arg", &format!("DEBIAN={debian}")])
        .args(["--build-arg", &format!("BUSYBOX={busybox}")])
        .echo()
        .run()?;
    outcome.success()?;

    println!("[5/5] The image in the registry, and what it does:");
    let image = Image::pull(lab.plain(), NAME)?;
    image.strict()?;
    println!("      {destination}@{}", image.digest());
    let bytes: u64 = image.layers.iter().map(|layer| layer.size).sum();
    println!(
        "      {} layers, {bytes} bytes, correct to the last digest",
        image.layers.len()
    );
    let said = Peer::new(lab).podman_run(NAME, &[])?;
    ensure!(said.code == 0, "the image does not run: {}", said.stderr);
    println!("      $ podman run {destination}");
    for line in said.stdout.lines() {
        println!("      {line}");
    }
    println!(
        "\nAll state is below {}.",
        kigumi_tests::lab::target_directory()?.display()
    );
    Ok(())
}

fn show_dockerfile(example: &Path) -> Result<()> {
    for line in std::fs::read_to_string(example.join("Dockerfile"))?.lines() {
        println!("      | {line}");
    }
    Ok(())
}
