//! Memory does not depend on the size of a layer, and hardly on the number of files.

use std::time::Duration;

use anyhow::{Result, ensure};
use kigumi_tests::{Context, Image, ImageBuilder, Lab, LayerBuilder, Outcome, Pod};

const MEBIBYTE: u64 = 1 << 20;

/// Anonymous memory stays below this in every build.
const MEMORY: u64 = 64 * MEBIBYTE;

/// What a layer of four times the size may cost more.
const GROWTH: u64 = 4 * MEBIBYTE;

/// What a file may cost, in the tree and in the record of what was seen, whether it is the base's or written by a RUN.
const BYTES_PER_FILE: u64 = 200;

/// Few files, and so many that a mebibyte more or less of what does not depend on them makes ten bytes.
const COUNTS: (u64, u64) = (10_000, 110_000);

#[expect(
    clippy::print_stdout,
    reason = "figures for whoever reads the log of a run"
)]
fn within_bounds(outcome: &Outcome) -> Result<u64> {
    outcome.success()?;
    println!(
        "peak anonymous memory: executor {} KiB, container {} KiB; {} s",
        outcome.peak_anonymous >> 10,
        outcome.peak_group >> 10,
        outcome.elapsed.as_secs()
    );
    ensure!(!outcome.oom_killed, "{outcome}");
    let peak = outcome.peak_anonymous;
    ensure!(
        peak > 0 && peak < MEMORY,
        "{peak} bytes; 0 is not measured, {MEMORY} the limit"
    );
    Ok(peak)
}

/// Builds a layer of incompressible data in a small container, and gives the peak.
fn peak_of_layer(lab: &Lab, size: u64) -> Result<u64> {
    let name = Lab::unique_name("large");
    let destination = lab.destination(&name);
    let outcome = Pod::new(lab)
        .memory("256m")
        .deadline(Duration::from_mins(20))
        .dockerfile(format!(
            "FROM {}\nRUN head -c {size} /dev/urandom > /large",
            lab.busybox()?
        ))
        .args(["--destination", &destination])
        .run()?;
    let peak = within_bounds(&outcome)?;
    let image = Image::pull(lab.plain(), &name)?;
    image.strict()?;
    let tree = image.flatten();
    let found = tree.get("/large").map_or(0, |node| node.size);
    ensure!(found == size, "{found} bytes");
    Ok(peak)
}

// T-RES-01, T-BUG-25
#[test]
fn a_layer_of_a_gibibyte_costs_no_more_memory_than_one_of_a_quarter() -> Result<()> {
    let lab = Lab::get()?;
    let small = peak_of_layer(lab, 256 * MEBIBYTE)?;
    let large = peak_of_layer(lab, 1024 * MEBIBYTE)?;
    ensure!(
        large < small + GROWTH,
        "{small} bytes for 256 MiB, {large} for 1 GiB"
    );
    Ok(())
}

/// Builds a layer of zeros, which takes no room on the disk, and gives the peak.
fn peak_of_zeros(lab: &Lab, size: u64) -> Result<u64> {
    let outcome = Pod::new(lab)
        .memory("256m")
        .deadline(Duration::from_mins(20))
        .dockerfile(format!(
            "FROM {}\nRUN truncate -s {size} /large",
            lab.busybox()?
        ))
        .args([
            "--destination",
            &lab.destination(&Lab::unique_name("zeros")),
        ])
        .run()?;
    within_bounds(&outcome)
}

#[test]
fn a_layer_of_four_gibibytes_costs_no_more_memory_than_one_of_one() -> Result<()> {
    let lab = Lab::get()?;
    let small = peak_of_zeros(lab, 1024 * MEBIBYTE)?;
    let large = peak_of_zeros(lab, 4 * 1024 * MEBIBYTE)?;
    ensure!(
        large < small + GROWTH,
        "{small} bytes for 1 GiB, {large} for 4 GiB"
    );
    Ok(())
}

/// So many files, a hundred in a directory.
fn with_files(mut layer: LayerBuilder, files: u64) -> Result<LayerBuilder> {
    for number in 0..files {
        let directory = number / 100;
        if number % 100 == 0 {
            layer = layer.dir(&format!("d{directory}"), 0o755)?;
        }
        layer = layer.file(&format!("d{directory}/file-{number}"), 0o644, "x")?;
    }
    Ok(layer)
}

/// Builds upon a base with so many files, and gives the peak.
fn peak_of_base(lab: &Lab, files: u64) -> Result<u64> {
    let name = Lab::unique_name("many");
    let layer = with_files(LayerBuilder::with_shell(lab)?, files)?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    let outcome = Pod::new(lab)
        .memory("256m")
        .dockerfile(format!(
            "FROM {}\nRUN echo >/d1/x\nRUN echo >/d2/x\n",
            lab.destination(&name)
        ))
        .args(["--destination", &lab.destination(&Lab::unique_name("many"))])
        .run()?;
    within_bounds(&outcome)
}

/// Fails if a build with `many` files needs more than so many bytes for each that one with `few` has not.
#[expect(
    clippy::print_stdout,
    reason = "figures for whoever reads the log of a run"
)]
fn ensure_each_costs(
    at_most: u64,
    (few, many): (u64, u64),
    peak: impl Fn(u64) -> Result<u64>,
) -> Result<()> {
    let (small, large) = (peak(few)?, peak(many)?);
    let each = large.saturating_sub(small) / (many - few);
    println!("{each} bytes a file");
    ensure!(
        each <= at_most,
        "{each} bytes a file: {small} for {few} files, {large} for {many}"
    );
    Ok(())
}

// T-RES-03: what is not touched costs its place in the tree
#[test]
fn a_file_of_the_base_costs_little_memory() -> Result<()> {
    let lab = Lab::get()?;
    ensure_each_costs(BYTES_PER_FILE, COUNTS, |files| peak_of_base(lab, files))
}

/// Lets a RUN write so many files, and gives the peak.
fn peak_of_run(lab: &Lab, files: u64) -> Result<u64> {
    let archive = with_files(LayerBuilder::new(), files)?.finish();
    let outcome = Pod::new(lab)
        .memory("256m")
        .context(Context::new(lab)?.file("many.tar", archive)?)
        .dockerfile(format!(
            "FROM {}\nRUN --mount=target=/context mkdir /many && tar -xf /context/many.tar -C /many\n",
            lab.busybox()?
        ))
        .args(["--destination", &lab.destination(&Lab::unique_name("new"))])
        .run()?;
    within_bounds(&outcome)
}

// T-RES-03
#[test]
fn a_file_that_a_run_writes_costs_little_memory() -> Result<()> {
    let lab = Lab::get()?;
    ensure_each_costs(BYTES_PER_FILE, COUNTS, |files| peak_of_run(lab, files))
}
