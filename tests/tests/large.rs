//! Memory does not depend on the size of a layer.

use std::time::Duration;

use anyhow::{Result, ensure};
use kigumi_tests::{Image, Lab, Pod};

const GIBIBYTE: u64 = 1 << 30;

/// T-RES-01: anonymous memory stays below this, whatever the size of a layer.
const MEMORY: u64 = 150_000_000;

// T-RES-01, T-BUG-25
#[test]
fn four_gibibytes_of_incompressible_data_in_a_container_of_256_mebibytes() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("large");
    let destination = lab.destination(&name);
    let outcome = Pod::new(lab)
        .memory("256m")
        .deadline(Duration::from_mins(20))
        .dockerfile(format!(
            "FROM {}\nRUN head -c 4294967296 /dev/urandom > /large",
            lab.busybox()?
        ))
        .args(["--destination", &destination])
        .run()?;
    outcome.success()?;
    println!(
        "peak anonymous memory: executor {} MiB, container {} MiB; {} s",
        outcome.peak_anonymous >> 20,
        outcome.peak_group >> 20,
        outcome.elapsed.as_secs()
    );
    ensure!(!outcome.oom_killed, "{outcome}");
    let peak = outcome.peak_anonymous;
    ensure!(
        peak > 0 && peak < MEMORY,
        "{peak} bytes; 0 is not measured, {MEMORY} the limit"
    );
    let image = Image::pull(lab.plain(), &name)?;
    image.strict()?;
    let tree = image.flatten();
    let size = tree.get("/large").map_or(0, |node| node.size);
    ensure!(size == 4 * GIBIBYTE, "{size} bytes");
    Ok(())
}
