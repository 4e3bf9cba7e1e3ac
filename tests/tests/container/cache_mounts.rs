//! `RUN --mount=type=cache` in pods with empty disks, with the caches in a registry.

use std::path::Path;

use anyhow::Result;
use kigumi_tests::{Lab, Pod};

/// The first pair of keys of RFC 8032 § 7.1.
const SECRET: &str = "main-1:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==\n";
const PUBLIC: &str = "main-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n";
/// The second one's public half, under the name of the first.
const FOREIGN: &str = "main-1:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n";

fn pod<'a>(lab: &'a Lab, keys: &Path, repository: &str, key: &str, run: &str) -> Result<Pod<'a>> {
    let mount = "--mount=type=cache,target=/c,uid=5,mode=0750";
    let dockerfile = format!("FROM {}\nRUN {mount} cd /c && {run}\n", lab.busybox()?);
    Ok(Pod::new(lab)
        .dockerfile(dockerfile)
        .volume(keys, "/keys")
        .args(["--no-push", "--cache-mounts=registry", key])
        .args([format!("--cache-repo={repository}")]))
}

// Issue of BuildKit's, moby/buildkit#1512: T-MNT-02 without a volume.
#[test]
fn a_pod_with_an_empty_disk_has_the_caches_of_the_last_one() -> Result<()> {
    let lab = Lab::get()?;
    let keys = tempfile::tempdir()?;
    for (name, text) in [("sec", SECRET), ("pub", PUBLIC), ("foreign", FOREIGN)] {
        std::fs::write(keys.path().join(name), text)?;
    }
    let repository = lab.destination(&Lab::unique_name("cache-mounts"));
    let repository = repository.trim_end_matches(":latest");
    let (signs, verifies, doubts) = (
        "--cache-sign-key=/keys/sec",
        "--cache-verify-key=/keys/pub",
        "--cache-verify-key=/keys/foreign",
    );
    let build = |key: &str, run: &str| pod(lab, keys.path(), repository, key, run)?.run();
    let fill = "test -z \"$(ls -A)\" && echo one >f && ln f g && mkdir -m 2711 d && mkfifo p && chown 7:8 f && touch -d @1000000000 f";
    build(signs, fill)?.success()?;
    // Also when the step fails afterwards.
    build(signs, "rm g && echo two >two && exit 3")?.exits_with(3)?;
    let look = "stat -c '%n %a %u:%g %h %Y' f && stat -c '%a %u' d . && cat two && test -p p && test ! -e g && touch lost";
    let found = build(verifies, look)?;
    found.success()?;
    for line in ["f 644 7:8 1 1000000000", "2711 0", "750 5", "two"] {
        found.says(line)?;
    }
    // Who only verifies has kept nothing, and who trusts another key begins anew.
    build(verifies, "test ! -e lost")?.success()?;
    let doubting = build(doubts, "test -z \"$(ls -A)\"")?;
    doubting.success()?;
    doubting.says("no signature of a trusted key fits")?;
    Ok(())
}
