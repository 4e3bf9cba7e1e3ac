//! Copies that need a pod to be seen: between stages, without rights, beside ignore files.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Lab, Pod};

// T-IGN-04
#[test]
fn an_ignore_file_hides_files_of_the_context_and_of_nothing_else() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {} AS made\nRUN mkdir /d && touch /d/x.log /d/x.txt\n\
         FROM scratch\nCOPY --from=made /d /made/\nCOPY . /context/\n",
        lab.busybox()?
    );
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file(".dockerignore", "**/*.log\n")?
        .file("x.log", "x")?
        .file("x.txt", "x")?;
    let built = Built::of(lab, context, &[])?;
    built.has("/made/x.log", "f 0644 0:0")?;
    built.has("/made/x.txt", "f 0644 0:0")?;
    built.has("/context/x.txt", "f 0644 0:0")?;
    built.has_not("/context/x.log")
}

// T-IGN-05
#[test]
fn the_dockerfile_and_the_ignore_file_are_read_though_they_are_ignored() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?
        .file("Dockerfile", "FROM scratch\nCOPY . /c/\n")?
        .file(".dockerignore", "Dockerfile\n.dockerignore\nhidden\n")?
        .file("hidden", "x")?
        .file("seen", "x")?;
    let built = Built::of(lab, context, &[])?;
    built.has("/c/seen", "f 0644 0:0")?;
    for name in ["Dockerfile", ".dockerignore", "hidden"] {
        built.has_not(&format!("/c/{name}"))?;
    }
    Ok(())
}

// T-COPY-19
#[test]
fn a_root_filesystem_made_in_a_stage_can_be_copied_whole() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {} AS made\n\
         RUN for d in proc sys dev/pts etc run; do mkdir -p /root-fs/$d; done && \
             mknod -m 666 /root-fs/dev/null c 1 3 && echo x > /root-fs/proc/x && echo y > /root-fs/etc/y\n\
         FROM scratch\nCOPY --from=made /root-fs/ /\n",
        lab.busybox()?
    );
    let built = Built::of_dockerfile(lab, &dockerfile)?;
    built.has("/dev/null", "c 0666 0:0|1,3")?;
    built.has("/dev/pts", "d 0755 0:0")?;
    built.holds("/etc/y", "y\n")?;
    built.holds("/proc/x", "x\n")?;
    built.has("/sys", "d 0755 0:0")
}

// T-COPY-26
#[test]
fn only_add_fetches_what_is_no_file() -> Result<()> {
    let lab = Lab::get()?;
    for source in [
        "https://files.example/x",
        "http://files.example/x",
        "https://git.example/x.git#main",
        "git@git.example:x/y.git",
        "ssh://git@git.example/x",
        "git://git.example/x.git",
    ] {
        let outcome = Pod::new(lab)
            .dockerfile(format!("FROM scratch\nCOPY {source} /\n"))
            .args(["--no-push"])
            .run()?;
        outcome
            .exits_with(1)?
            .says("Dockerfile:2")?
            .says("COPY")?
            .says("ADD")?;
    }
    Ok(())
}

// T-COPY-27
#[test]
fn a_pod_without_any_right_makes_the_same_layers() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {}\nCOPY --chown=7:8 --chmod=4711 dir/program /\nCOPY --link dir/other /\nADD archive.tar /\n",
        lab.busybox()?
    );
    let archive = kigumi_tests::LayerBuilder::new()
        .owned_by(5, 6)
        .file("inside", 0o640, "x")?
        .device("null", 0o600, 1, 3)?;
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("dir/program", "1")?
        .file("dir/other", "2")?
        .file("archive.tar", archive.finish())?;
    let copy = Context::copy_of(lab, context.path())?;
    let root = Built::of(lab, context, &[])?;
    let restricted = Pod::new(lab)
        .podman_option("--user=65534:65534")
        .podman_option("--cap-drop=all")
        .podman_option("--security-opt=no-new-privileges")
        .args(["--kaniko-dir=/tmp/kigumi"])
        .podman_option("--tmpfs=/tmp");
    let nobody = Built::by(restricted, lab, copy, &[])?;
    let layers = |built: &Built| {
        let manifest = &built.image.manifest.value;
        manifest.pointer("/layers").cloned().unwrap_or_default()
    };
    ensure!(
        layers(&root) == layers(&nobody),
        "{} {}",
        layers(&root),
        layers(&nobody)
    );
    Ok(())
}

// T-SNAP-22
#[test]
fn a_layer_that_is_in_the_image_already_is_not_sent_again() -> Result<()> {
    let lab = Lab::get()?;
    let mark = lab.plain().mark();
    let dockerfile = format!(
        "FROM {}\nRUN true\nRUN true\nRUN echo x > /x && touch -d @1 /x\n\
         RUN rm /x && echo x > /x && touch -d @1 /x\n",
        lab.busybox()?
    );
    let built = Built::of_dockerfile(lab, &dockerfile)?;
    let repository = built.name.split(':').next().unwrap_or_default().to_owned();
    let sent = lab.plain().requests_since(mark)?;
    let start = format!("/v2/{repository}/blobs/uploads/");
    let uploads = sent
        .iter()
        .filter(|request| request.method == "PUT" && request.target.starts_with(&start))
        .count();
    // The empty layer and the one with /x, each once, and the config.
    ensure!(
        uploads == 3,
        "{uploads} uploads for {} layers",
        built.image.layers.len()
    );
    ensure!(built.image.layers.len() == 5);
    Ok(())
}

// T-STAGE-06
#[test]
fn a_stage_that_others_are_built_on_can_be_the_target_and_stays_itself() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {busybox} AS first\nRUN touch /first\nLABEL stage=first\n\
         FROM first AS second\nRUN touch /second\nLABEL stage=second\n\
         FROM {busybox} AS third\nCOPY --from=second /second /third\n\
         FROM second\nCOPY --from=third /third /last\n",
        busybox = lab.busybox()?
    );
    for (target, label, there, missing) in [
        ("first", "first", "/first", "/second"),
        ("second", "second", "/second", "/last"),
        ("", "second", "/last", "/third"),
    ] {
        let context = Context::new(lab)?.file("Dockerfile", &dockerfile)?;
        let built = Built::of(lab, context, &["--target", target])?;
        built.has(there, "f 0644 0:0")?;
        built.has_not(missing)?;
        let labels = built.image.setting("Labels").to_string();
        ensure!(labels == format!("{{\"stage\":\"{label}\"}}"), "{labels}");
    }
    Ok(())
}

// T-MNT-15
#[test]
fn a_bind_mount_does_not_lead_out_of_the_context() -> Result<()> {
    let lab = Lab::get()?;
    for (link, source) in [
        ("../../../etc/hostname", "link"),
        ("/etc/hostname", "link"),
        ("../../..", "link/etc/hostname"),
        ("kept", "../../etc/hostname"),
    ] {
        let dockerfile = format!(
            "FROM {}\nRUN --mount=source={source},target=/m ! grep -r build-pod /m\n",
            lab.busybox()?
        );
        let context = Context::new(lab)?
            .file("Dockerfile", dockerfile)?
            .file("kept", "x")?
            .symlink("link", link)?;
        let outcome = Pod::new(lab).context(context).args(["--no-push"]).run()?;
        // There is no such file in the context: a builder may say so, or mount nothing.
        ensure!(!outcome.to_string().contains("build-pod\n"), "{outcome}");
        outcome.exits_with(1)?.says("Dockerfile:2")?;
    }
    let outcome = Pod::new(lab)
        .dockerfile(format!(
            "FROM {}\nRUN --mount=target=/ true\n",
            lab.busybox()?
        ))
        .args(["--no-push"])
        .run()?;
    outcome.exits_with(1)?.says("`/`")?.says("Dockerfile:2")?;
    Ok(())
}
