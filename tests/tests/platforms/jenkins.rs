//! A container of a Jenkins agent: kept alive by `sleep`, its builds are started by exec.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::{Context, Image, Lab, Pod, Variant};

use crate::shipped::{credentials, document, mounted, path, plain_registry, replaced, words};

const AGENT: &str = "/home/jenkins/agent";

/// The scripts of the `sh` steps.
fn steps(lab: &Lab, prefix: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(path("jenkins/Jenkinsfile"))?;
    ensure!(
        text.contains("container(name: 'kaniko', shell: '/busybox/sh')"),
        "the container"
    );
    let parts = text.split("sh '''#!/busybox/sh").skip(1);
    let steps: Vec<String> = parts
        .filter_map(|part| Some(part.split_once("'''")?.0.trim().to_owned()))
        .map(|step| {
            let to = format!("{}/{prefix}", lab.secure().address());
            let step = replaced(&step, &[("registry.example.com/team/", &to)]);
            format!("{step} {}", plain_registry(lab))
        })
        .collect();
    ensure!(steps.len() == 2, "two builds in one container");
    Ok(steps)
}

// K-JEN-01, K-JEN-02, K-IMG-03
#[test]
fn two_builds_by_exec_into_one_container_each_find_it_as_it_was() -> Result<()> {
    let lab = Lab::get()?;
    let manifest = document("jenkins/pod.yaml")?;
    let container = &manifest["spec"]["containers"][0];
    let (command, arguments) = (words(container, "/command"), words(container, "/args"));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let busybox = lab.busybox()?;
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
    let secret = credentials(lab)?;
    let prefix = Lab::unique_name("jenkins").replace(":latest", "-");
    let pod = Pod::new(lab)
        .variant(Variant::Debug)
        .first_process(command.first().context("a command")?, &arguments)
        .unmounted("/workspace")
        .volume(agent.path(), AGENT)
        .env("SSL_CERT_FILE", "/ca.crt")
        .mount(&lab.ca_file(), "/ca.crt");
    let pod = mounted(pod, container, |name| {
        (name == "docker-config").then(|| secret.path().to_owned())
    })?;
    let pod = pod.start()?;
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
    let by_hand = format!(
        "/kaniko/executor -c {AGENT}/app --no-push {} && test -s notes && cat notes",
        plain_registry(lab)
    );
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
    pod.kill()?;
    pod.wait()?;
    for name in ["app", "tools"] {
        let image = Image::pull(lab.plain(), &format!("{prefix}{name}:1.0"))?;
        image.strict()?;
        ensure!(image.flatten().get(name).is_some(), "/{name}");
    }
    Ok(())
}
