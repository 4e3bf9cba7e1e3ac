//! Steps of Tekton, and of Shipwright, which Tekton runs: `entrypoint` is the first process and starts what the image says.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Context, Image, Lab, Outcome, Pod, Variant, run};
use serde_json::Value;
use tempfile::TempDir;

use crate::shipped::{CA, both, busybox, replaced, text, with_environment, words};

/// What Tekton mounts into every step.
struct Mounts {
    directory: TempDir,
    source: Context,
}

impl Mounts {
    fn new(lab: &Lab, source: Context) -> Result<Self> {
        let directory = lab.temp_dir()?;
        for name in ["bin", "run", "results", "steps", "home", "output", "config"] {
            fs::create_dir(directory.path().join(name))?;
        }
        // The entrypoint is a static program of Tekton's, copied into a volume; a shell does for it here.
        fs::copy(
            lab.busybox_program()?,
            directory.path().join("bin/busybox-entrypoint"),
        )?;
        Ok(Self { directory, source })
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// A step as Tekton starts it: the command of the manifest, or the ENTRYPOINT of the image.
    fn start<'a>(&self, lab: &'a Lab, step: &Value, arguments: &[String]) -> Result<Pod<'a>> {
        let command = match words(step, "/command").first() {
            Some(command) => command.clone(),
            None => entrypoint(lab)?,
        };
        let script = "\"$@\"; code=$?; echo \"the step ended with $code\"; exit $code";
        // By a name that begins so, busybox takes the applet from its arguments.
        let mut all = vec!["sh", "-c", script, "entrypoint", command.as_str()];
        all.extend(arguments.iter().map(String::as_str));
        let pod = Pod::new(lab)
            .first_process("/tekton/bin/busybox-entrypoint", &all)
            .podman_option("--workdir=/workspace/source")
            .volume(self.source.path(), "/workspace/source")
            .mount(&self.at("bin"), "/tekton/bin")
            .volume(&self.at("run"), "/tekton/run")
            .volume(&self.at("results"), "/tekton/results")
            .volume(&self.at("steps"), "/tekton/steps")
            .volume(&self.at("home"), "/tekton/home")
            .mount(&lab.ca_file(), CA);
        with_environment(pod, step)
    }
}

/// K-TKN-03: what Tekton reads from the registry where a step has no command.
fn entrypoint(lab: &Lab) -> Result<String> {
    let reference = lab.executor_image(Variant::Executor)?;
    let format = "--format={{index .Config.Entrypoint 0}}";
    let output = run(lab.podman().args(["image", "inspect", format, &reference]))?;
    Ok(output.stdout.trim().to_owned())
}

fn source(lab: &Lab) -> Result<Context> {
    // K-TKN-05: the base has a directory where a mount is read-only.
    Context::new(lab)?.file(
        "app/Dockerfile",
        format!(
            "FROM {}\nRUN mkdir -p /etc/ssl && echo built > /etc/ssl/built\n",
            busybox(lab)?
        ),
    )
}

fn ends_well(outcome: &Outcome) -> Result<()> {
    outcome.success()?.says("the step ended with 0")?;
    Ok(())
}

/// The arguments of the catalog's step, with what a `TaskRun` without parameters but IMAGE and CONTEXT says.
fn arguments(task: &Value, step: &Value, destination: &str) -> Result<Vec<String>> {
    let known = [
        (
            "$(params.DOCKERFILE)",
            text(task, "/spec/params/1/default")?,
        ),
        ("$(params.CONTEXT)", "app"),
        ("$(params.IMAGE)", destination),
        ("$(workspaces.source.path)", "/workspace/source"),
        (
            "$(results.IMAGE_DIGEST.path)",
            "/tekton/results/IMAGE_DIGEST",
        ),
    ];
    let words = words(step, "/args").into_iter();
    // EXTRA_ARGS is an array, and empty.
    let words = words.filter(|word| word != "$(params.EXTRA_ARGS)");
    Ok(words.map(|word| replaced(&word, &known)).collect())
}

// K-DROP-01, K-TKN-01, K-TKN-02, K-TKN-03, K-TKN-04, K-TKN-05
#[test]
fn the_catalogs_task_with_another_image_builds_and_its_result_is_the_digest_without_a_newline()
-> Result<()> {
    let lab = Lab::get()?;
    for task in both("tekton.yaml", "tekton/task.yaml")? {
        let step = &task["spec"]["steps"][0];
        let workspace = &task["spec"]["workspaces"][1];
        let product = Lab::unique_name("tekton");
        let destination = format!("{}/{product}", lab.secure().address());
        let mounts = Mounts::new(lab, source(lab)?)?;
        fs::write(mounts.at("config/config.json"), lab.docker_config()?)?;
        let certificates = lab.temp_dir()?;
        fs::write(certificates.path().join("ca-certificates.crt"), "")?;
        let docker = text(workspace, "/mountPath")?;
        let outcome = mounts
            .start(lab, step, &arguments(&task, step, &destination)?)?
            .unmounted(docker)
            .volume(&mounts.at("config"), docker)
            .mount(certificates.path(), "/etc/ssl/certs")
            .run()?;
        ends_well(&outcome)?;
        let image = Image::pull(lab.plain(), &product)?;
        image.strict()?;
        let digest = fs::read_to_string(mounts.at("results/IMAGE_DIGEST")).context("the result")?;
        ensure!(
            digest == image.digest(),
            "{digest:?} is not {}",
            image.digest()
        );
        let tree = image.flatten();
        ensure!(
            tree.get("etc/ssl/built").is_some() && tree.get("etc/ssl/certs").is_none(),
            "/etc/ssl"
        );
        ensure!(tree.get("tekton").is_none(), "/tekton is the pod's");
    }
    Ok(())
}

// K-DROP-01, K-SHP-01, K-SHP-02, K-SHP-03, K-SHP-04
#[test]
fn shipwrights_strategy_with_another_image_builds_an_archive_without_chroot_and_mknod() -> Result<()>
{
    let lab = Lab::get()?;
    for strategy in both("shipwright.yaml", "shipwright/strategy.yaml")? {
        let step = &strategy["spec"]["steps"][0];
        let mounts = Mounts::new(lab, source(lab)?)?;
        fs::create_dir(mounts.at("home/.docker"))?;
        fs::write(mounts.at("home/.docker/config.json"), lab.docker_config()?)?;
        let known = [
            ("$(params.dockerfile)", "Dockerfile"),
            ("$(params.target)", ""),
            ("$(params.shp-source-context)", "/workspace/source/app"),
            (
                "$(params.shp-output-image)",
                "registry.example.com/team/app:1.0",
            ),
            ("$(params.shp-output-directory)", "/workspace/output-image"),
        ];
        let words = words(step, "/args").into_iter();
        let arguments: Vec<String> = words.map(|word| replaced(&word, &known)).collect();
        let granted = crate::shipped::words(step, "/securityContext/capabilities/add");
        for missing in ["SYS_CHROOT", "MKNOD"] {
            ensure!(
                !granted.contains(&missing.to_owned()),
                "{missing} is not asked for"
            );
        }
        let outcome = mounts
            .start(lab, step, &arguments)?
            .without_capabilities(&["SYS_CHROOT", "MKNOD"])
            .volume(&mounts.at("output"), "/workspace/output-image")
            .mount(Path::new("/proc/version"), "/product_uuid")
            .run()?;
        ends_well(&outcome)?;
        ensure!(mounts.at("output/image.tar").is_file(), "the archive");
    }
    Ok(())
}
