//! A step of Argo Workflows: `argoexec emissary` is the first process, in a mount below `/var/run`.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Context, Image, ImageBuilder, Lab, LayerBuilder, Pod};
use serde_json::Value;
use tempfile::TempDir;

use crate::shipped::{CA, both, credentials, example, mounted, replaced, words};

/// A base as distributions have it, which kaniko could not unpack there; its name in the lab's registries.
fn base(lab: &Lab) -> Result<String> {
    // Below `library`, so that a mirror of Docker Hub has it by its short name.
    let name = Lab::unique_name("library/linked-run");
    let layer = LayerBuilder::new()
        .dir("bin", 0o755)?
        .file("bin/sh", 0o755, fs::read(lab.busybox_program()?)?)?
        .dir("run", 0o755)?
        .dir("var", 0o755)?
        .symlink("var/run", "/run")?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    Ok(name)
}

/// What Argo mounts below `/var/run`, and the context of the build.
struct Step {
    emissary: TempDir,
    source: Context,
}

impl Step {
    fn new(lab: &Lab, base: &str) -> Result<Self> {
        let file = format!("FROM {base}\nRUN test -L /var/run && echo built > /var/run/built\n");
        let emissary = lab.temp_dir()?;
        fs::copy(
            lab.busybox_program()?,
            emissary.path().join("busybox-argoexec"),
        )?;
        Ok(Self {
            emissary,
            source: Context::new(lab)?.file("Dockerfile", file)?,
        })
    }

    /// Runs the container of a template. Argo reads the ENTRYPOINT of an image from its registry where no command is said.
    fn run(&self, lab: &Lab, template: &Value, known: &[(&str, &str)]) -> Result<()> {
        let container = template.pointer("/spec/templates/0/container");
        let container = container.context("a container")?;
        let secret = credentials(lab)?;
        let script = "\"$@\"; code=$?; echo $code > /var/run/argo/exitcode; exit $code";
        let mut all: Vec<String> = ["sh", "-c", script, "emissary"].map(str::to_owned).to_vec();
        all.push("/kaniko/executor".to_owned());
        let arguments = words(container, "/args");
        all.extend(arguments.iter().map(|word| replaced(word, known)));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let pod = Pod::new(lab)
            .first_process("/var/run/argo/busybox-argoexec", &all)
            .docker_config(lab.docker_config()?)
            .volume(self.emissary.path(), "/var/run/argo")
            .mount(&lab.ca_file(), CA);
        let pod = mounted(pod, container, |name| match name {
            "source" => Some(self.source.path().to_owned()),
            "docker-config" => Some(secret.path().to_owned()),
            _ => None,
        })?;
        pod.run()?.success()?;
        let code = fs::read_to_string(self.emissary.path().join("exitcode"))?;
        ensure!(code.trim() == "0", "the exit code is {code}");
        Ok(())
    }
}

// K-DROP-01, K-ARGO-01, K-ARGO-02
#[test]
fn templates_with_another_image_build_on_a_base_whose_var_run_is_a_link_while_something_is_mounted_there()
-> Result<()> {
    let lab = Lab::get()?;
    let secure = lab.secure().address();
    let base = format!("{secure}/{}", base(lab)?);
    for template in both("argo.yaml", "argo/workflow-template.yaml")? {
        let product = Lab::unique_name("argo");
        let destination = format!("{secure}/{product}");
        let known = [("{{inputs.parameters.destination}}", destination.as_str())];
        Step::new(lab, &base)?.run(lab, &template, &known)?;
        let image = Image::pull(lab.plain(), &product)?;
        image.strict()?;
        let tree = image.flatten();
        let link = tree.get("var/run").and_then(|node| node.link.clone());
        ensure!(link.as_deref() == Some("/run"), "/var/run is {link:?}");
        ensure!(
            tree.get("run/built").is_some() && tree.get("run/argo").is_none(),
            "/run"
        );
    }
    Ok(())
}

// K-ARGO-01, K-ARGO-02: the rest of the flags.
#[test]
fn a_template_with_another_image_takes_its_base_from_a_mirror_alone_and_leaves_an_archive()
-> Result<()> {
    let lab = Lab::get()?;
    let base = base(lab)?;
    let step = Step::new(lab, base.trim_start_matches("library/"))?;
    let known = [("{{workflow.parameters.mirror}}", lab.secure().address())];
    step.run(lab, &example("argo-archive.yaml")?, &known)?;
    let archive = step.source.path().join("image.tar");
    ensure!(archive.is_file(), "no {}", archive.display());
    Ok(())
}
