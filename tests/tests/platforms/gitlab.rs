//! A job of GitLab CI: the entrypoint is taken away, a shell is looked for, and it runs the script.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Context, Image, Lab, Pod};
use serde_json::Value;

use crate::shipped::{busybox, document, example, text, variant, words};

/// How the runner finds a shell, shortened to what there may be.
const DETECT: &str = "if [ -x /usr/local/bin/bash ]; then exec /usr/local/bin/bash \"$1\"; \
    elif [ -x /bin/bash ]; then exec /bin/bash \"$1\"; \
    elif [ -x /busybox/sh ]; then exec /busybox/sh \"$1\"; \
    else echo shell not found; exit 1; fi";
const PROJECT: &str = "/builds/team/app";

/// The script of a job as the runner writes it: variables, the directory of the project, each line shown and done.
fn script(lines: &[String], variables: &[(&str, String)]) -> Result<String> {
    let mut script = "set -eo pipefail\n".to_owned();
    for (name, value) in variables {
        writeln!(script, "export {name}='{value}'")?;
    }
    writeln!(script, "cd {PROJECT}")?;
    for line in lines {
        writeln!(script, "echo \"next line of the job\"\n{line}")?;
    }
    Ok(script)
}

fn variables(lab: &Lab, image: &str) -> Result<Vec<(&'static str, String)>> {
    let credentials = lab
        .secure()
        .credentials()
        .context("the secure registry has credentials")?;
    Ok(vec![
        ("CI_PROJECT_DIR", PROJECT.to_owned()),
        ("CI_REGISTRY", lab.secure().address().to_owned()),
        ("CI_REGISTRY_USER", credentials.user.clone()),
        ("CI_REGISTRY_PASSWORD", credentials.password.clone()),
        (
            "CI_REGISTRY_IMAGE",
            format!("{}/{image}", lab.secure().address()),
        ),
        ("CI_COMMIT_TAG", "first".to_owned()),
    ])
}

/// A job, with lines before and after its own.
fn job<'a>(
    lab: &'a Lab,
    document: &Value,
    (before, after): (&[String], &[String]),
    (project, image): (&Project, &str),
) -> Result<Pod<'a>> {
    ensure!(
        words(document, "/build/image/entrypoint") == [""],
        "the entrypoint is taken away"
    );
    let lines = [before, &words(document, "/build/script"), after].concat();
    let scripts = project.scripts.path();
    fs::write(
        scripts.join("step_script"),
        script(&lines, &variables(lab, image)?)?,
    )?;
    Ok(Pod::new(lab)
        .variant(variant(text(document, "/build/image/name")?))
        .first_process("sh", &["-c", DETECT, "sh", "/scripts-1-1/step_script"])
        .unmounted("/kaniko/.docker")
        .unmounted("/workspace")
        .volume(project.checkout.path(), PROJECT)
        .volume(scripts, "/scripts-1-1"))
}

/// K-GL-06: what users append.
fn before() -> [String; 1] {
    [format!(
        "cat {PROJECT}/ca.crt >> /kaniko/ssl/certs/additional-ca-cert-bundle.crt"
    )]
}

/// What the runner mounts into a job, and each job has its own.
struct Project {
    checkout: Context,
    scripts: tempfile::TempDir,
}

fn project(lab: &Lab) -> Result<Project> {
    let file = format!("FROM {}\nRUN echo built > /built\n", busybox(lab)?);
    let checkout = Context::new(lab)?
        .file("ca.crt", fs::read(lab.ca_file())?)?
        .file("Dockerfile", file)?;
    let scripts = lab.temp_dir()?;
    Ok(Project { checkout, scripts })
}

fn is_built(lab: &Lab, name: &str) -> Result<usize> {
    let image = Image::pull(lab.plain(), name)?;
    image.strict()?;
    ensure!(image.flatten().get("built").is_some(), "{name}: /built");
    Ok(image.layers.len())
}

// K-DROP-01, K-GL-01, K-GL-04, K-GL-06, K-IMG-02, K-IMG-03
#[test]
fn the_jobs_of_gitlabs_manual_with_another_image_build_and_push() -> Result<()> {
    let lab = Lab::get()?;
    // Credentials from CI_REGISTRY_*, and from a config.json that the job writes.
    for public in ["gitlab.yaml", "gitlab-config.yaml"] {
        let project = project(lab)?;
        let name = Lab::unique_name("gitlab");
        let (repository, _) = name.split_once(':').context("a name with a tag")?;
        let lines = (&before()[..], &[][..]);
        let outcome = job(lab, &example(public)?, lines, (&project, repository))?.run()?;
        outcome.success()?;
        is_built(lab, &format!("{repository}:first"))?;
    }
    Ok(())
}

// K-GL-01, K-GL-02, K-GL-03, K-GL-04, K-GL-06
#[test]
fn the_job_builds_and_so_does_the_next_build_in_it_and_the_checkout_survives() -> Result<()> {
    let lab = Lab::get()?;
    let project = project(lab)?;
    let name = Lab::unique_name("gitlab");
    let (repository, _) = name.split_once(':').context("a name with a tag")?;
    let again = |tag: &str, more: &str| {
        format!(
            "/kaniko/executor --context \"$CI_PROJECT_DIR\" --destination \"$CI_REGISTRY_IMAGE:{tag}\" {more}"
        )
    };
    let after = [
        again("second", ""),
        again("third", "--cleanup"),
        "test ! -e /built && grep -q built Dockerfile && /bin/sh -c 'echo the checkout is well'"
            .to_owned(),
    ];
    let document = document("gitlab/.gitlab-ci.yml")?;
    let lines = (&before()[..], &after[..]);
    let outcome = job(lab, &document, lines, (&project, repository))?.run()?;
    outcome.success()?.says("the checkout is well")?;
    let mut layers = Vec::new();
    for tag in ["first", "second", "third"] {
        layers.push(is_built(lab, &format!("{repository}:{tag}"))?);
    }
    ensure!(
        layers == [2, 2, 2],
        "each began on an empty root: {layers:?}"
    );
    Ok(())
}
