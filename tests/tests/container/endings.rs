//! What becomes of the root filesystem when the container ends with the build.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Image, Lab, Pod};

const ABANDONED: &str = "need not be written to the disk";

fn context(lab: &Lab) -> Result<Context> {
    let file = format!(
        "FROM {}\nRUN busybox head -c 300000 /dev/zero >/large\n",
        lab.busybox()?
    );
    Context::new(lab)?.file("Dockerfile", file)
}

#[test]
fn what_nobody_will_read_is_not_written_and_the_image_has_it() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("ended");
    let destination = lab.destination(&name);
    let pod = Pod::new(lab).context(context(lab)?);
    let outcome = pod
        .args(["--destination", &destination, "--verbosity=debug"])
        .run()?;
    outcome.success()?;
    ensure!(outcome.to_string().contains(ABANDONED), "{outcome}");
    Image::pull(lab.plain(), &name)?.strict()?;
    Built::of(lab, context(lab)?, &[])?.holds("/large", vec![0; 300_000])
}

// K-GL-02
#[test]
fn who_goes_on_in_the_container_finds_files_as_they_were() -> Result<()> {
    let lab = Lab::get()?;
    let flags = "--context=/workspace --insecure --no-push --verbosity=debug";
    let script = format!(
        "/kaniko/executor {flags} --cleanup=false || exit 2; /busybox/wc -c /large; /kaniko/executor {flags} || exit 3; /busybox/wc -c /kaniko/executor"
    );
    let outcome = Pod::new(lab)
        .variant(kigumi_tests::Variant::Debug)
        .context(context(lab)?)
        .script(&script)
        .run()?;
    outcome.success()?;
    let text = outcome.to_string();
    ensure!(text.contains("300000 /large"), "{outcome}");
    ensure!(!text.contains(ABANDONED), "{outcome}");
    Ok(())
}
