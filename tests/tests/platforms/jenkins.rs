//! The pod of a Jenkins agent, played by podman: its container is kept alive by `sleep`, its builds are started by exec.

use std::fs;

use anyhow::{Result, ensure};
use kigumi_tests::{Context, Image, Lab, Playing};
use serde_json::Value;

use crate::shipped::{busybox, document, example, path, play, replaced};

const AGENT: &str = "/home/jenkins/agent";

/// What the plugin's example runs. Quoted by the shell, not by us.
const PUBLIC: &str = "/kaniko/executor -f `pwd`/Dockerfile -c `pwd` --insecure --skip-tls-verify --cache=true \
    --destination=mydockerregistry:5000/myorg/myimage";

/// The scripts of the `sh` steps.
fn steps(lab: &Lab, prefix: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(path("jenkins/Jenkinsfile"))?;
    ensure!(
        text.contains("container(name: 'kaniko', shell: '/busybox/sh')"),
        "the container"
    );
    let parts = text.split("sh '''#!/busybox/sh").skip(1);
    let to = format!("{}/{prefix}", lab.secure().address());
    let steps: Vec<String> = parts
        .filter_map(|part| Some(part.split_once("'''")?.0.trim().to_owned()))
        .map(|step| replaced(&step, &[("registry.example.com/team/", &to)]))
        .collect();
    ensure!(steps.len() == 2, "two builds in one container");
    Ok(steps)
}

/// The pod with what the plugin mounts into each of its containers.
fn start<'a>(lab: &'a Lab, pod: &Value, agent: &Context) -> Result<Playing<'a>> {
    play(lab, pod, "/spec/containers/0/image")?
        .secret(
            "docker-credentials",
            ".dockerconfigjson",
            &lab.docker_config()?,
        )
        .volume(agent.path(), AGENT)
        .start()
}

// K-DROP-01
#[test]
fn the_plugins_example_with_another_image_builds_and_pushes() -> Result<()> {
    let lab = Lab::get()?;
    let file = format!("FROM {}\nRUN echo app > /app\n", busybox(lab)?);
    let agent = Context::new(lab)?.file("app/Dockerfile", file)?;
    let product = Lab::unique_name("jenkins");
    let destination = format!("{}/{product}", lab.secure().address());
    let pod = start(lab, &example("jenkins.yaml")?, &agent)?;
    let step = replaced(
        PUBLIC,
        &[("mydockerregistry:5000/myorg/myimage", &destination)],
    );
    let output = pod.exec(&["sh", "-c", &format!("cd {AGENT}/app\n{step}")])?;
    ensure!(output.code == 0, "{}", output.stderr);
    let image = Image::pull(lab.plain(), &product)?;
    image.strict()?;
    ensure!(image.flatten().get("app").is_some(), "/app");
    Ok(())
}

// K-JEN-01, K-JEN-02, K-IMG-03
#[test]
fn two_builds_by_exec_into_one_container_each_find_it_as_it_was() -> Result<()> {
    let lab = Lab::get()?;
    let busybox = busybox(lab)?;
    let agent = Context::new(lab)?
        .file(
            "app/Dockerfile",
            format!("FROM {busybox}\nRUN echo app > /app && rm /etc/passwd\n"),
        )?
        .file(
            "app/Dockerfile.tools",
            format!(
                "FROM {busybox}\nRUN test ! -e /app && test -s /etc/passwd && echo tools > /tools\n"
            ),
        )?;
    let prefix = Lab::unique_name("jenkins").replace(":latest", "-");
    let pod = start(lab, &document("jenkins/pod.yaml")?, &agent)?;
    // What a user left on the root, in the working directory of the image.
    pod.exec(&["/busybox/sh", "-c", "echo notes > /workspace/notes"])?;
    let before = pod.root()?;
    for step in steps(lab, &prefix)? {
        let script = format!("cd {AGENT}/app\n{step}");
        let output = pod.exec(&["/busybox/sh", "-c", &script])?;
        ensure!(output.code == 0, "{}", output.stderr);
        let difference = before.difference(&pod.root()?);
        ensure!(difference.is_empty(), "{}", difference.join("\n"));
    }
    // K-JEN-02: from the working directory itself, as whoever opens a shell in the container would.
    let by_hand =
        format!("/kaniko/executor -c {AGENT}/app --no-push && test -s notes && cat notes");
    let output = pod.exec(&["/bin/sh", "-c", &by_hand])?;
    ensure!(
        output.code == 0 && output.stdout.contains("notes"),
        "{}",
        output.stderr
    );
    ensure!(
        before == pod.root()?,
        "the root after a build from /workspace"
    );
    ensure!(
        agent.path().join("app/Dockerfile").is_file(),
        "the agent's workspace"
    );
    for name in ["app", "tools"] {
        let image = Image::pull(lab.plain(), &format!("{prefix}{name}:1.0"))?;
        image.strict()?;
        ensure!(image.flatten().get(name).is_some(), "/{name}");
    }
    Ok(())
}
