//! Stages that do not need each other run in the order that moves least on the root filesystem (ADR 28).

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::image::Packing;
use kigumi_tests::{Built, Context, ImageBuilder, Lab, LayerBuilder};

/// A base that shares no layer with another one, with a file of so many bytes.
fn base(lab: &Lab, bytes: usize) -> Result<String> {
    let name = Lab::unique_name("base");
    let own = LayerBuilder::new().file("own", 0o644, vec![b'x'; bytes])?;
    ImageBuilder::new(lab)?
        .packing(Packing::Tar)
        .layer(own)?
        .packing(Packing::Gzip)
        .layer(LayerBuilder::with_shell(lab)?)?
        .push(lab.plain(), &name)?;
    Ok(lab.destination(&name))
}

fn build(lab: &Lab, stages: &[&str], end: &str) -> Result<Built> {
    let dockerfile = format!("{}{end}", stages.concat());
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    Built::of(lab, context, &["--source-date-epoch=1700000000"])
}

/// The names of the stages as the log tells them, and whether it says why.
fn order(built: &Built) -> Result<(Vec<&str>, bool)> {
    let log = if built.outcome.stdout.contains("stage 1/") {
        &built.outcome.stdout
    } else {
        &built.outcome.stderr
    };
    let mut names = Vec::new();
    for number in 1.. {
        let Some((_, rest)) = log.split_once(&format!("stage {number}/")) else {
            break;
        };
        let (_, rest) = rest.split_once(' ').context("a stage without a name")?;
        names.push(rest.split(':').next().unwrap_or_default());
    }
    Ok((names, log.contains("order of the stages: ")))
}

/// What is fetched ahead is not fetched again: config and two layers, each once.
fn is_read_once(built: &Built, base: &str) -> bool {
    let name = base.split_once('/').map_or(base, |(_, name)| name);
    let repository = name.trim_end_matches(":latest");
    let blobs = format!("/v2/{repository}/blobs/");
    let reads = built.requests.iter().filter(|request| {
        request.method == "GET" && request.status == 200 && request.target.starts_with(&blobs)
    });
    let mut reads: Vec<&str> = reads.map(|request| request.target.as_str()).collect();
    let count = reads.len();
    reads.sort_unstable();
    reads.dedup();
    (count, reads.len()) == (3, 3)
}

#[test]
fn the_largest_base_comes_last_and_the_image_is_the_same() -> Result<()> {
    let lab = Lab::get()?;
    let (large, small) = (base(lab, 40 << 20)?, base(lab, 10)?);
    let seen = "ls / >/seen && busybox sed -i '/^c$/d' /seen && busybox wc -c </own >>/seen && echo made >/made";
    let program = format!("FROM {large} AS program\nRUN {seen}\n");
    let data = format!("FROM {small} AS data\nRUN touch /only-data && {seen}\n");
    let end = "FROM scratch\nCOPY --from=program /seen /made /own /program/\nCOPY --from=data /seen /made /data/\n";
    let reordered = build(lab, &[&program, &data], end)?;
    let written = build(lab, &[&data, &program], end)?;
    // Who shares a cache keeps the order of the file.
    let cached = |stage: &str| stage.replace("RUN ", "RUN --mount=type=cache,target=/c ");
    let kept = build(lab, &[&cached(&program), &cached(&data)], end)?;
    ensure!(order(&reordered)? == (vec!["data", "program", "stage-2"], true));
    ensure!(order(&written)? == (vec!["data", "program", "stage-2"], false));
    ensure!(order(&kept)? == (vec!["program", "data", "stage-2"], false));
    ensure!(reordered.image.digest() == written.image.digest());
    ensure!(reordered.image.digest() == kept.image.digest());
    let about = &reordered.outcome;
    for base in [&large, &small] {
        ensure!(is_read_once(&reordered, base), "{:?}", reordered.requests);
    }
    about.says("order of the stages: data, program, stage-2 (")?;
    about.says("unpacked, ")?.says("; as written: ")?;
    Ok(())
}

#[test]
fn a_stage_runs_after_those_that_it_needs_however_large_they_are() -> Result<()> {
    let lab = Lab::get()?;
    let (large, small) = (base(lab, 40 << 20)?, base(lab, 10)?);
    let cache = "--mount=type=cache,target=/c";
    let first = format!("FROM {large} AS first\nRUN echo made >/made\n");
    let mounting = format!(
        "FROM {small} AS mounting\nRUN --mount=from=first,source=/made,target=/first busybox cp /first /mounted\n"
    );
    let writer = format!("FROM {large} AS writer\nRUN {cache} echo kept >/c/kept\n");
    let reader = format!("FROM {small} AS reader\nRUN {cache} busybox cp /c/kept /kept\n");
    let end = "FROM scratch\nCOPY --from=mounting /mounted /\nCOPY --from=reader /kept /\nCOPY --from=writer /own /\n";
    let built = build(lab, &[&first, &mounting, &writer, &reader], end)?;
    built.holds("/mounted", "made\n")?;
    built.holds("/kept", "kept\n")?;
    // Two large ones, then two small ones: each base is unpacked once.
    let expected = vec!["first", "writer", "mounting", "reader", "stage-4"];
    ensure!(order(&built)? == (expected, true), "{}", built.outcome);
    let log = format!("{}{}", built.outcome.stdout, built.outcome.stderr);
    ensure!(log.matches("unpacked 2 layers").count() == 2, "{log}");
    Ok(())
}
