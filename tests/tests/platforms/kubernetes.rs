//! A Pod and a Job, played by podman: the executor is the first process, `args` alone, files of the kubelet.

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Context, Image, Lab};
use serde_json::{Value, json};

use crate::shipped::{both, busybox, example, play};

/// The place of the container: of a Pod, or of the pod of a Job.
fn container(document: &Value) -> &'static str {
    if document["kind"] == "Job" {
        "/spec/template/spec/containers/0"
    } else {
        "/spec/containers/0"
    }
}

/// The same with this destination; nothing else of its arguments changes.
fn with_destination(document: &Value, destination: &str) -> Result<Value> {
    const FLAG: &str = "--destination=";
    let mut document = document.clone();
    let place = format!("{}/args", container(&document));
    let words = document.pointer_mut(&place).and_then(Value::as_array_mut);
    let mut words = words.context("arguments")?.iter_mut();
    let word = words.find(|word| word.as_str().is_some_and(|word| word.starts_with(FLAG)));
    *word.context("a destination")? = json!(format!("{FLAG}{destination}"));
    Ok(document)
}

// K-DROP-01, K-AUTH-07, K-K8S-01, K-K8S-02, K-K8S-03, K-K8S-04, K-CTX-04, K-IMG-04
#[test]
fn kanikos_pod_with_another_image_and_the_job_that_is_shipped_build_and_push() -> Result<()> {
    let lab = Lab::get()?;
    // As the tutorial calls it.
    let context = Context::new(lab)?
        .file(
            "dockerfile",
            format!(
                "FROM {}\nCOPY word /word\nRUN test -s /etc/hosts && cp /word /built\n",
                busybox(lab)?
            ),
        )?
        .file("word", "of the context")?;
    for document in both("kubernetes.yaml", "kubernetes/job.yaml")? {
        let product = Lab::unique_name("kubernetes");
        let destination = format!("{}/{product}", lab.secure().address());
        let is_told = document.to_string().contains("/dev/termination-log");
        let pod = with_destination(&document, &destination)?;
        let played = play(lab, &pod, &format!("{}/image", container(&document)))?
            .claim("dockerfile-claim", context.path())
            .secret("regcred", ".dockerconfigjson", &lab.docker_config()?)
            // As kind mounts a machine's id.
            .mount(&context.path().join("word"), "/product_uuid")
            .run()?;
        played.success()?;
        let image = Image::pull(lab.plain(), &product)?;
        image.strict()?;
        let expected = if is_told { image.digest() } else { "" };
        ensure!(
            played.termination_log == expected,
            "the termination message is {:?}",
            played.termination_log
        );
        let tree = image.flatten();
        for path in ["built", "word"] {
            ensure!(tree.get(path).is_some(), "/{path}\n{}", played.log);
        }
        for path in [
            "product_uuid",
            "dev/termination-log",
            "kaniko",
            "run/secrets",
        ] {
            ensure!(tree.get(path).is_none(), "/{path} is the pod's");
        }
    }
    Ok(())
}

#[test]
fn a_pod_that_fails_is_told_from_one_that_builds() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?.file("dockerfile", "FROM scratch\nCOPY missing /\n")?;
    let destination = format!("{}/never:pushed", lab.secure().address());
    let pod = with_destination(&example("kubernetes.yaml")?, &destination)?;
    let played = play(lab, &pod, "/spec/containers/0/image")?
        .claim("dockerfile-claim", context.path())
        .secret("regcred", ".dockerconfigjson", &lab.docker_config()?)
        .run()?;
    ensure!(
        played.code == 1 && played.success().is_err() && played.log.contains("missing"),
        "exit code {}: {}",
        played.code,
        played.log
    );
    Ok(())
}
