//! Skaffold's cluster builder: the context arrives in the executor's own directory, the digest is the termination message.

use anyhow::{Result, ensure};
use kigumi_tests::{Context, Image, Lab, Pod};

use crate::shipped::{CA, busybox, credentials, document, example};

// K-SKA-01, K-SKA-02, K-SKA-03
#[test]
fn the_cluster_builder_builds_what_it_was_sent_and_reads_the_digest_back() -> Result<()> {
    let lab = Lab::get()?;
    let config = document("skaffold/skaffold.yaml")?;
    // Where a configuration says nothing, Skaffold fills in what it also fills in for kaniko.
    for file in [&config, &example("skaffold.yaml")?] {
        let said = file["build"]["artifacts"][0]["kaniko"].as_object();
        let said: Vec<&String> = said.into_iter().flat_map(|kaniko| kaniko.keys()).collect();
        ensure!(
            said.iter()
                .all(|key| ["cache", "image"].contains(&key.as_str())),
            "{said:?} would be flags"
        );
    }
    let product = Lab::unique_name("skaffold");
    // An init container fills it by tar over exec; to the executor it is a directory like any other.
    let sent = Context::new(lab)?
        .file(
            "Dockerfile",
            format!("FROM {}\nCOPY app /app\nRUN test -s /app\n", busybox(lab)?),
        )?
        .file("app", "sent")?;
    let secret = credentials(lab)?;
    let outcome = Pod::new(lab)
        .bare()
        .args([
            "--destination".to_owned(),
            format!("{}/{product}", lab.secure().address()),
        ])
        .args(["--dockerfile", "Dockerfile", "--cache=true"])
        .args(["--context", "dir:///kaniko/buildcontext", "-v", "info"])
        .args(["--digest-file=/dev/termination-log"])
        // What older versions of it, or options of its artifacts, add: every legacy flag of the contract.
        .args([
            "--cleanup",
            "--force",
            "--single-snapshot",
            "--use-new-run",
            "--whitelist-var-run=true",
            "--snapshotMode=redo",
            "--cache-run-layers=true",
            "--tarPath=/kaniko/buildcontext/image.tar",
        ])
        .unmounted("/workspace")
        .unmounted("/kaniko/.docker")
        .volume(sent.path(), "/kaniko/buildcontext")
        .mount(secret.path(), "/kaniko/.docker")
        .env("UPSTREAM_CLIENT_TYPE", "UpstreamClient(skaffold-v2.16.0)")
        .mount(&lab.ca_file(), CA)
        .run()?;
    outcome.success()?;
    ensure!(sent.path().join("image.tar").is_file(), "--tarPath");
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
