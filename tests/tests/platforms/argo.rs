//! A step of Argo Workflows: `argoexec emissary` is the first process, in a mount below `/var/run`.

use std::fs;

use anyhow::{Result, ensure};
use kigumi_tests::{Context, Image, ImageBuilder, Lab, LayerBuilder, Pod};

use crate::shipped::{credentials, document, mounted, plain_registry, replaced, words};

/// A base as distributions have it, which kaniko could not unpack there.
fn base(lab: &Lab) -> Result<String> {
    let name = Lab::unique_name("linked-run");
    let layer = LayerBuilder::new()
        .dir("bin", 0o755)?
        .file("bin/sh", 0o755, fs::read(lab.busybox_program()?)?)?
        .dir("run", 0o755)?
        .dir("var", 0o755)?
        .symlink("var/run", "/run")?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    Ok(lab.destination(&name))
}

// K-ARGO-01, K-ARGO-02
#[test]
fn the_template_builds_on_a_base_whose_var_run_is_a_link_while_something_is_mounted_there()
-> Result<()> {
    let lab = Lab::get()?;
    let template = document("argo/workflow-template.yaml")?;
    let container = &template["spec"]["templates"][0]["container"];
    let product = Lab::unique_name("argo");
    let destination = format!("{}/{product}", lab.secure().address());
    let source = Context::new(lab)?.file(
        "Dockerfile",
        format!(
            "FROM {}\nRUN test -L /var/run && echo built > /var/run/built\n",
            base(lab)?
        ),
    )?;
    let (secret, emissary) = (credentials(lab)?, lab.temp_dir()?);
    fs::copy(
        lab.busybox_program()?,
        emissary.path().join("busybox-argoexec"),
    )?;
    let script = "\"$@\"; code=$?; echo $code > /var/run/argo/exitcode; exit $code";
    let mut words_of: Vec<String> = ["sh", "-c", script, "emissary"].map(str::to_owned).to_vec();
    words_of.extend(words(container, "/command"));
    let place = [("{{inputs.parameters.destination}}", destination.as_str())];
    words_of.extend(
        words(container, "/args")
            .iter()
            .map(|word| replaced(word, &place)),
    );
    words_of.push(plain_registry(lab));
    words_of.push(format!(
        "--registry-certificate={}=/ca.crt",
        lab.secure().address()
    ));
    let arguments: Vec<&str> = words_of.iter().map(String::as_str).collect();
    let pod = Pod::new(lab)
        .first_process("/var/run/argo/busybox-argoexec", &arguments)
        .volume(emissary.path(), "/var/run/argo")
        .mount(&lab.ca_file(), "/ca.crt");
    let pod = mounted(pod, container, |name| match name {
        "source" => Some(source.path().to_owned()),
        "docker-config" => Some(secret.path().to_owned()),
        _ => None,
    })?;
    pod.run()?.success()?;
    ensure!(
        fs::read_to_string(emissary.path().join("exitcode"))?.trim() == "0",
        "the exit code"
    );
    let image = Image::pull(lab.plain(), &product)?;
    image.strict()?;
    let tree = image.flatten();
    let link = tree.get("var/run").and_then(|node| node.link.clone());
    ensure!(link.as_deref() == Some("/run"), "/var/run is {link:?}");
    ensure!(
        tree.get("run/built").is_some() && tree.get("run/argo").is_none(),
        "/run"
    );
    Ok(())
}
