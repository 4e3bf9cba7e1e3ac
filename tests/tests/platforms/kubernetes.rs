//! A Job: the executor is the first process, `args` alone, files of the kubelet.

use anyhow::{Result, ensure};
use kigumi_tests::{Context, Image, Lab, Pod};

use crate::shipped::{credentials, document, mounted, replaced, with_environment, words};

// K-K8S-01, K-K8S-02, K-K8S-03, K-K8S-04, K-IMG-04
#[test]
fn the_job_builds_from_the_yaml_that_is_shipped() -> Result<()> {
    let lab = Lab::get()?;
    let job = document("kubernetes/job.yaml")?;
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let product = Lab::unique_name("job");
    let destination = format!("{}/{product}", lab.secure().address());
    let context = Context::new(lab)?.file(
        "Dockerfile",
        format!(
            "FROM {}\nRUN test -s /etc/hosts && echo built > /built\n",
            lab.busybox()?
        ),
    )?;
    let (secret, memory, uuid) = (
        credentials(lab)?,
        lab.temp_dir()?,
        context.path().join("Dockerfile"),
    );
    let arguments = words(container, "/args");
    let arguments = arguments
        .iter()
        .map(|word| replaced(word, &[("registry.example.com/team/app:1.0", &destination)]));
    // The kubelet's way with an image of its own CA, and kind's way with a machine's id.
    let ca = format!("--registry-certificate={}=/ca.crt", lab.secure().address());
    let plain = crate::shipped::plain_registry(lab);
    let pod = Pod::new(lab)
        .bare()
        .args(arguments.chain([ca, plain]))
        .mount(&lab.ca_file(), "/ca.crt")
        .mount(&uuid, "/product_uuid")
        .without_service_account();
    let pod = mounted(pod, container, |name| match name {
        "context" => Some(context.path().to_owned()),
        "credentials" => Some(secret.path().to_owned()),
        "secrets" => Some(memory.path().to_owned()),
        _ => None,
    })?;
    let outcome = with_environment(pod, container)?.run()?;
    outcome.success()?;
    let image = Image::pull(lab.plain(), &product)?;
    image.strict()?;
    ensure!(
        outcome.termination_log == image.digest(),
        "{}",
        outcome.termination_log
    );
    let tree = image.flatten();
    ensure!(tree.get("built").is_some(), "/built");
    for path in ["product_uuid", "ca.crt", "dev/termination-log", "kaniko"] {
        ensure!(tree.get(path).is_none(), "/{path} is the pod's");
    }
    Ok(())
}
