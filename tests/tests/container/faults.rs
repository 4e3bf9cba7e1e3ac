//! Networks that break while a build uses them.

use anyhow::{Result, ensure};
use kigumi_tests::image::digest_of;
use kigumi_tests::{Built, Context, Direction, Image, Lab, Pod, Proxy};

/// Bytes of either layer: more than what passes before its connection breaks.
const LAYER: usize = 3 << 20;

/// Bytes that no compression makes fewer, the same in every run.
fn random(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut word = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..LAYER / 8).flat_map(|_| word()).collect()
}

// T-PUSH-11: the base comes whole and the layer arrives whole, though the connection broke in the middle of each.
#[test]
fn a_connection_that_breaks_in_a_pull_or_in_a_push_is_no_more_than_another_attempt() -> Result<()> {
    let lab = Lab::get()?;
    let (of_base, of_build) = (random(0x6b69), random(0x6775));
    let base = Context::new(lab)?
        .file(
            "Dockerfile",
            format!("FROM {}\nCOPY base /base\n", lab.busybox()?),
        )?
        .file("base", &of_base)?;
    let base = Built::of(lab, base, &[])?;

    // Only a connection with a layer carries so much: the base's layers one way, the build's own the other.
    let proxy = Proxy::start(lab.plain().address(), "")?;
    proxy.break_after(Direction::FromRegistry, 2 << 20);
    proxy.break_after(Direction::ToRegistry, 2 << 20);
    let name = Lab::unique_name("faults");
    let dockerfile = format!(
        "FROM {}/{}\nCOPY own /own\nRUN sha256sum /base /own >/sums\n",
        proxy.address(),
        base.name
    );
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("own", &of_build)?;
    let outcome = Pod::new(lab)
        .context(context)
        .args([format!("--insecure-registry={}", proxy.address())])
        .args([format!("--destination={}/{name}", proxy.address())])
        .run()?;
    outcome.success()?;

    ensure!(
        proxy.breaks_to_come() == 0,
        "a connection was not broken\n{outcome}"
    );
    for what in ["fetch blob", "push "] {
        let tells = outcome
            .stderr
            .lines()
            .any(|line| line.contains(what) && line.contains("attempt 1 of"));

        ensure!(tells, "no line tells of a second {what}\n{outcome}");
    }
    let image = Image::pull(lab.plain(), &name)?;
    image.strict()?;
    let hex = |bytes: &[u8]| digest_of(bytes).trim_start_matches("sha256:").to_owned();
    let sums = format!("{}  /base\n{}  /own\n", hex(&of_base), hex(&of_build));
    let tree = image.flatten();
    for (path, content) in [
        ("base", &*of_base),
        ("own", &*of_build),
        ("sums", sums.as_bytes()),
    ] {
        let found = tree.get(path).map(|node| node.describe(path));
        let found = found.unwrap_or_default();
        ensure!(found.ends_with(&digest_of(content)), "{path} is `{found}`");
    }
    Ok(())
}
