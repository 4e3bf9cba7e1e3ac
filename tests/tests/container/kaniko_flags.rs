//! Flags of kaniko that are about the root filesystem.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Lab, Pod};

// K-FLAG-03, T-HIST-05
#[test]
fn a_single_snapshot_holds_what_is_left_at_the_end() -> Result<()> {
    let lab = Lab::get()?;
    let file = format!(
        "FROM {} AS first\nRUN mkdir /d && echo 1 >/d/kept && echo 2 >/d/gone\nFROM first\nCOPY a /d/copied\nRUN rm /d/gone /bin/vi && ln /d/kept /d/link\nLABEL last=1\nMAINTAINER me\n",
        lab.busybox()?
    );
    let context = Context::new(lab)?
        .file("Dockerfile", file)?
        .file("a", "a")?;
    let built = Built::of(lab, context, &["--single-snapshot"])?;
    let layer = built.top_layer();
    for name in ["d/kept", "d/copied", "d/link", "bin/.wh.vi"] {
        let there = layer
            .iter()
            .any(|entry| entry.trim_end_matches('/').ends_with(name));
        ensure!(there, "{name} is not in {layer:?}");
    }
    ensure!(
        !layer.iter().any(|entry| entry.contains("gone")),
        "{layer:?}"
    );
    // One file with two names, as they were in two layers.
    built.has("/d/link", "f |= /d/kept")?;
    built.has_not("/bin/vi")
}

// Contract § 3, `--ignore-path`
#[test]
fn an_ignored_path_is_neither_unpacked_nor_recorded() -> Result<()> {
    let lab = Lab::get()?;
    let file = format!(
        "FROM {}\nRUN mkdir -p /made/here && echo 1 >/made/here/x && echo 2 >/other\n",
        lab.busybox()?
    );
    let context = Context::new(lab)?.file("Dockerfile", file)?;
    let built = Built::of(
        lab,
        context,
        &["--ignore-path=/made/here", "--ignore-path", "/a,b"],
    )?;
    built.holds("/other", "2\n")?;
    built.has_not("/made/here/x")
}

// Contract § 3, `--materialize`
#[test]
fn an_image_without_a_run_stays_on_the_root_filesystem() -> Result<()> {
    let lab = Lab::get()?;
    let file = format!("FROM {}\nCOPY a /stays\n", lab.busybox()?);
    let context = Context::new(lab)?
        .file("Dockerfile", file)?
        .file("a", "a")?;
    let flags = "--context=/workspace --insecure --no-push";
    let script = format!(
        "/kaniko/executor {flags} || exit 2; test ! -e /stays || exit 3; /kaniko/executor {flags} --materialize || exit 4; /busybox/cat /stays"
    );
    let outcome = Pod::new(lab)
        .variant(kigumi_tests::Variant::Debug)
        .context(context)
        .script(&script)
        .run()?;
    outcome.success()?;
    ensure!(outcome.to_string().contains('a'), "{outcome}");
    Ok(())
}
