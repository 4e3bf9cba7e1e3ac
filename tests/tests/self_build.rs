//! kigumi builds the images of kigumi, and what it built builds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use kigumi_tests::lab::stage_image_context;
use kigumi_tests::{Context, Image, Lab, Pod, Variant};
use serde_json::json;

/// Builds a target of `Dockerfile.executor`; the answer is a name in the plain registry.
fn build(lab: &Lab, target: &str) -> Result<String> {
    let context = Context::new(lab)?;
    stage_image_context(lab, context.path())?;
    let name = Lab::unique_name(&format!("kigumi-{target}"));
    Pod::new(lab)
        .context(context)
        .args(["--target", target])
        .args(["--destination".to_owned(), lab.destination(&name)])
        .run()?
        .success()?;
    Ok(name)
}

/// What the tests use in place of a self-built image is the same, but for times.
fn is_as_the_lab_has_it(lab: &Lab, image: &Image, variant: Variant) -> Result<()> {
    let reference = lab.executor_image(variant)?;
    let name = reference
        .strip_prefix(&format!("{}/", lab.plain().address()))
        .context("an image of the plain registry")?;
    let other = Image::pull(lab.plain(), name)?;
    let facts = |image: &Image| -> BTreeMap<String, String> {
        let tree = image.flatten();
        let nodes = tree.nodes.iter();
        // The root itself need not be in a layer.
        let nodes = nodes.filter(|(path, _)| !path.is_empty());
        nodes
            .map(|(path, node)| {
                let fact = format!(
                    "{:?} {:o} {}:{} {:?} {:?} {}",
                    node.kind,
                    node.mode,
                    node.uid,
                    node.gid,
                    node.sha256,
                    node.link,
                    node.first_name
                );
                (path.clone(), fact)
            })
            .collect()
    };
    let (here, there) = (facts(image), facts(&other));
    for (path, fact) in &here {
        ensure!(
            there.get(path) == Some(fact),
            "/{path}: {fact}, and in the lab {:?}",
            there.get(path)
        );
    }
    let missing: Vec<&String> = there
        .keys()
        .filter(|path| !here.contains_key(*path))
        .collect();
    ensure!(missing.is_empty(), "only in the lab: {missing:?}");
    for setting in ["Entrypoint", "WorkingDir", "Volumes", "User"] {
        ensure!(
            image.setting(setting) == other.setting(setting),
            "{setting}"
        );
    }
    let environment = |image: &Image| -> BTreeSet<String> {
        let all = image.setting("Env").as_array().cloned().unwrap_or_default();
        all.iter().map(ToString::to_string).collect()
    };
    ensure!(environment(image) == environment(&other), "Env");
    Ok(())
}

fn keeps_the_contract(image: &Image, entrypoint: &str) -> Result<()> {
    image.strict()?;
    let tree = image.flatten();
    for (path, kind_and_mode) in [
        ("kaniko", "d 0777 0:0"),
        ("kaniko/executor", "f 0755 0:0"),
        ("kaniko/.docker", "d 0777 0:0"),
        ("kaniko/ssl/certs", "d 0777 0:0"),
        ("kaniko/ssl/certs/ca-certificates.crt", "f 0644 0:0"),
        ("cache", "d 0755 0:0"),
        ("root", "d 0700 0:0"),
        ("kigumi/executor", "f 0755 0:0"),
        ("workspace", "d 0755 0:0"),
        ("etc/nsswitch.conf", "f 0644 0:0"),
    ] {
        let found = tree
            .get(path)
            .map(|node| node.describe(path))
            .unwrap_or_default();
        ensure!(
            found.starts_with(kind_and_mode),
            "{path}: `{found}`, not `{kind_and_mode}`"
        );
    }
    let first_name = |name: &str| tree.get(name).map(|node| node.first_name.clone());
    for name in [
        "kigumi/executor",
        "kaniko/warmer",
        "kaniko/docker-credential-gcr",
        "kaniko/docker-credential-ecr-login",
        "kaniko/docker-credential-acr-env",
    ] {
        ensure!(
            first_name(name) == first_name("kaniko/executor") && first_name(name).is_some(),
            "{name} is another name of the executor"
        );
    }
    ensure!(
        *image.setting("Entrypoint") == json!([entrypoint]),
        "ENTRYPOINT"
    );
    ensure!(
        *image.setting("WorkingDir") == json!("/workspace"),
        "WORKDIR"
    );
    let environment = image.setting("Env").to_string();
    for variable in [
        "HOME=/root",
        "USER=root",
        "PATH=/usr/local/bin:/kaniko",
        "SSL_CERT_DIR=/kaniko/ssl/certs",
        "DOCKER_CONFIG=/kaniko/.docker/",
        "DOCKER_CREDENTIAL_GCR_CONFIG=/kaniko/.config/gcloud/docker_credential_gcr_config.json",
    ] {
        ensure!(
            environment.contains(variable),
            "{variable} is not in {environment}"
        );
    }
    Ok(())
}

// K-IMG-01, K-IMG-04, K-IMG-06, and the whole of kaniko-contract §7
#[test]
fn the_executor_image_that_kigumi_builds_builds_images() -> Result<()> {
    let lab = Lab::get()?;
    let name = build(lab, "executor")?;
    let image = Image::pull(lab.plain(), &name)?;
    keeps_the_contract(&image, "/kaniko/executor")?;
    is_as_the_lab_has_it(lab, &image, Variant::Executor)?;

    let product = Lab::unique_name("by-self-built");
    Pod::new(lab)
        .image(&lab.destination(&name))
        .dockerfile(format!(
            "FROM {}\nRUN echo built > /by-a-self-built-executor\n",
            lab.busybox()?
        ))
        .args(["--destination".to_owned(), lab.destination(&product)])
        .run()?
        .success()?;
    let image = Image::pull(lab.plain(), &product)?;
    image.strict()?;
    ensure!(
        image.flatten().get("/by-a-self-built-executor").is_some(),
        "the product's file"
    );
    Ok(())
}

// K-IMG-02, K-IMG-03
#[test]
fn the_debug_image_that_kigumi_builds_runs_a_shell_and_builds() -> Result<()> {
    let lab = Lab::get()?;
    let name = build(lab, "debug")?;
    let image = Image::pull(lab.plain(), &name)?;
    keeps_the_contract(&image, "/kaniko/executor")?;
    is_as_the_lab_has_it(lab, &image, Variant::Debug)?;
    ensure!(
        image.setting("Volumes").get("/busybox").is_some(),
        "VOLUME /busybox"
    );
    let tree = image.flatten();
    for applet in [
        "sh", "grep", "mkdir", "printf", "cat", "touch", "chmod", "date", "sleep",
    ] {
        ensure!(
            tree.get(&format!("/busybox/{applet}")).is_some(),
            "/busybox/{applet}"
        );
    }
    let link = tree.get("/bin/sh").and_then(|node| node.link.clone());
    ensure!(
        link.as_deref() == Some("/busybox/sh"),
        "/bin/sh is {link:?}"
    );

    let product = Lab::unique_name("by-self-built");
    let script = format!(
        "set -e; test $$ = 1; test \"$(stat -c %a:%u:%g /tmp)\" = 1777:0:0
         cat > $(mktemp) << HERE\n$(seq 20000)\nHERE
         test \"$(cat /tmp/* | wc -l)\" = 20000; rm /tmp/*; /kaniko/executor --context=dir:///workspace \
         --insecure-registry={} --destination={}; echo and the shell goes on",
        lab.plain().address(),
        lab.destination(&product)
    );
    Pod::new(lab)
        .script(&script)
        .image(&lab.destination(&name))
        .dockerfile(format!(
            "FROM {}\nRUN echo built > /built\n",
            lab.busybox()?
        ))
        .run()?
        .success()?
        .says("and the shell goes on")?;
    Image::pull(lab.plain(), &product)?.strict()
}

// K-IMG-01
#[test]
fn the_warmer_image_that_kigumi_builds_is_started_by_its_own_name() -> Result<()> {
    let lab = Lab::get()?;
    let name = build(lab, "warmer")?;
    let image = Image::pull(lab.plain(), &name)?;
    keeps_the_contract(&image, "/kaniko/warmer")?;
    is_as_the_lab_has_it(lab, &image, Variant::Warmer)?;
    Pod::new(lab)
        .image(&lab.destination(&name))
        .bare()
        .args(["--image=example.invalid/base"])
        .run()?
        .exits_with(1)?
        .says("an image is not put into the cache: `example.invalid/base`")?;
    Ok(())
}
