//! Skaffold's cluster builder: the context arrives in the executor's own directory, the digest is the termination message.

use anyhow::{Result, ensure};
use kigumi_tests::{Context, Image, Lab, Pod};

use crate::shipped::{credentials, document, plain_registry, text};

// K-SKA-01, K-SKA-02
#[test]
fn the_cluster_builder_builds_what_it_was_sent_and_reads_the_digest_back() -> Result<()> {
    let lab = Lab::get()?;
    let config = document("skaffold/skaffold.yaml")?;
    let artifact = &config["build"]["artifacts"][0]["kaniko"];
    let product = Lab::unique_name("skaffold");
    // An init container fills it by tar over exec; to the executor it is a directory like any other.
    let sent = Context::new(lab)?
        .file(
            "Dockerfile",
            format!("FROM {}\nCOPY app /app\nRUN test -s /app\n", lab.busybox()?),
        )?
        .file("app", "sent")?;
    let secret = credentials(lab)?;
    let outcome = Pod::new(lab)
        .bare()
        .args([
            "--destination".to_owned(),
            format!("{}/{product}", lab.secure().address()),
        ])
        .args(["--dockerfile", text(artifact, "/dockerfile")?])
        .args(["--context", "dir:///kaniko/buildcontext", "-v", "info"])
        .args(["--digest-file=/dev/termination-log"])
        // What older versions of it add.
        .args([
            "--cleanup",
            "--force",
            "--use-new-run",
            "--whitelist-var-run=true",
            "--snapshotMode=redo",
        ])
        .args([plain_registry(lab)])
        .unmounted("/workspace")
        .unmounted("/kaniko/.docker")
        .volume(sent.path(), "/kaniko/buildcontext")
        .mount(secret.path(), "/kaniko/.docker")
        .env("UPSTREAM_CLIENT_TYPE", "UpstreamClient(skaffold-v2.16.0)")
        .env("SSL_CERT_FILE", "/ca.crt")
        .mount(&lab.ca_file(), "/ca.crt")
        .run()?;
    outcome.success()?;
    let image = Image::pull(lab.plain(), &product)?;
    image.strict()?;
    ensure!(
        outcome.termination_log == image.digest(),
        "{}",
        outcome.termination_log
    );
    let tree = image.flatten();
    ensure!(
        tree.get("app").is_some() && tree.get("kaniko").is_none(),
        "what was sent"
    );
    Ok(())
}
