//! What of the pod a build may see and touch: nothing.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Image, ImageBuilder, Lab, LayerBuilder, Pod};

fn on_busybox(lines: &str) -> Result<Built> {
    let lab = Lab::get()?;
    Built::of_dockerfile(lab, &format!("FROM {}\n{lines}", lab.busybox()?))
}

// T-RUN-02, T-RUN-03: what the shell was given, not what it adds
#[test]
fn run_gets_the_environment_of_the_image_and_nothing_of_the_pod() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {}\nENV OWN=1\nRUN tr '\\0' '\\n' < /proc/$$/environ | sort > /environment\n",
        lab.busybox()?
    );
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    let built = Built::by(Pod::new(lab).env("POD_SECRET", "1"), lab, context, &[])?;
    let wanted = on_busybox(
        "RUN printf 'HOME=/root\\nOWN=1\\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:\
         /sbin:/bin\\n' > /environment\n",
    )?;
    let digest = |built: &Built| {
        built
            .image
            .flatten()
            .get("/environment")
            .and_then(|node| node.sha256.clone())
    };
    ensure!(
        digest(&built) == digest(&wanted),
        "another environment\n{}",
        built.outcome
    );
    Ok(())
}

// ADR 6: the pod's mounts are shared with a RUN, the executor's own memory and environment are not
#[test]
fn the_environment_of_the_executor_cannot_be_read_by_run() -> Result<()> {
    let lab = Lab::get()?;
    let dockerfile = format!(
        "FROM {}\nRUN for environment in /proc/[0-9]*/environ; do \
         if grep -q POD_SECRET $environment 2>/dev/null; then exit 9; fi; done\n",
        lab.busybox()?
    );
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    Built::by(Pod::new(lab).env("POD_SECRET", "1"), lab, context, &[]).map(drop)
}

// T-RUN-07, K-K8S-01, T-SNAP-13
#[test]
fn files_mounted_by_the_kubelet_are_neither_recorded_nor_harmed() -> Result<()> {
    let built = on_busybox(
        "RUN echo '10.0.0.1 build-only' >> /etc/hosts; rm -f /etc/resolv.conf; \
         rm -rf /var/run/secrets; touch /etc/mine; true\n\
         RUN test -s /etc/resolv.conf\n",
    )?;
    for path in [
        "etc/hosts",
        "etc/resolv.conf",
        "etc/hostname",
        "etc/.wh.resolv.conf",
    ] {
        let found = built.image.entries_below(path);
        ensure!(found.is_empty(), "{found:?}");
    }
    built.has("/etc/mine", "f 0644 0:0")
}

// T-UNPACK-09, K-ARGO-01: Debian has /var/run -> /run, the pod a mount below /var/run
#[test]
fn a_base_with_a_symlink_above_a_mount_keeps_its_symlink() -> Result<()> {
    let lab = Lab::get()?;
    let built = Built::of_dockerfile(
        lab,
        &format!(
            "FROM {}\nRUN echo x > /var/run/file && ls /run\n",
            lab.debian()?
        ),
    )?;
    built.has("/var/run", "l 0777 0:0|-> /run")?;
    built.has("/run/file", "f 0644 0:0")
}

// T-SNAP-20, K-K8S-03
#[test]
fn mounts_with_strange_names_in_strange_places_do_not_fail_a_build() -> Result<()> {
    let lab = Lab::get()?;
    let extra = lab.temp_dir()?;
    std::fs::write(extra.path().join("inside"), "of the pod")?;
    let context = Context::new(lab)?.file(
        "Dockerfile",
        format!(
            "FROM {}\nRUN touch '/etc/with space'; rm -rf /usr/bin; true\n",
            lab.busybox()?
        ),
    )?;
    let pod = Pod::new(lab)
        .mount(&extra.path().join("inside"), "/product_uuid")
        .mount(extra.path(), "/usr/bin/a mount with spaces");
    let built = Built::by(pod, lab, context, &[])?;
    for path in ["product_uuid", "usr/bin/a mount with spaces"] {
        let found = built.image.entries_below(path);
        ensure!(found.is_empty(), "{found:?}");
    }
    built.has("/etc/with space", "f 0644 0:0")?;
    built.has_not("/usr/bin/env")
}

// T-UNPACK-11, T-UNPACK-12, T-COPY-24
#[test]
fn what_the_image_has_below_a_mount_point_is_in_the_image() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    let layer = LayerBuilder::with_shell(lab)?
        .dir("mounted", 0o755)?
        .file("mounted/of-the-base", 0o600, "base")?
        .dir("covered", 0o755)?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    let dockerfile = format!(
        "FROM {}\nRUN busybox test ! -e /mounted/of-the-base\nCOPY file /covered/\n\
         RUN busybox touch /after\n",
        lab.destination(&name)
    );
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("file", "under a mount")?;
    let extra = lab.temp_dir()?;
    let pod = Pod::new(lab)
        .mount(extra.path(), "/mounted")
        .mount(extra.path(), "/covered");
    let built = Built::by(pod, lab, context, &[])?;
    built.has("/mounted/of-the-base", "f 0600 0:0")?;
    built.has("/covered/file", "f 0644 0:0")?;
    built.has("/after", "f 0644 0:0")
}

// T-PROC-01
#[test]
fn orphans_are_reaped_by_the_first_process() -> Result<()> {
    // Who has ended and is not reaped stays for ever; all others are gone some time.
    let built = on_busybox(
        "RUN i=0; while [ $i -lt 50 ]; do (sh -c '(sleep 0.01; echo >> /ended) &' &); i=$((i+1)); done; \
         i=0; until [ $(cat /ended | wc -l) = 50 ] && ! ps -o stat,comm | grep -q '^Z'; do \
         i=$((i+1)); test $i -lt 600 || exit 9; sleep 0.1; done\n",
    )?;
    ensure!(built.outcome.code == 0);
    Ok(())
}

// T-RUN-10, as far as ADR 6 goes: the executor's own directory stays within reach
#[test]
fn files_of_the_executor_image_are_not_visible_to_run() -> Result<()> {
    on_busybox("RUN test ! -e /etc/nsswitch.conf\n").map(drop)
}

// K-GL-01: another process is the first, the executor is its child
#[test]
fn a_build_works_below_a_shell_as_gitlab_starts_it() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("gitlab");
    let script = format!(
        "set -e; echo '{{}}' > /kaniko/.docker/config.json
        /kaniko/executor --context \"/workspace\" --dockerfile /workspace/Dockerfile \
        --insecure-registry {} --destination {}
        echo $$ is still here; ls /busybox/sh",
        lab.plain().address(),
        lab.destination(&name)
    );
    Pod::new(lab)
        .script(&script)
        .dockerfile(format!("FROM {}\nRUN echo x > /x\n", lab.busybox()?))
        .run()?
        .success()?
        .says("1 is still here")?;
    let image = Image::pull(lab.plain(), &name)?;
    image.strict()?;
    for path in ["busybox", "kaniko"] {
        ensure!(
            image.entries_below(path).is_empty(),
            "{:?}",
            image.entries_below(path)
        );
    }
    Ok(())
}

// K-SHP-03: capabilities that only runtime defaults give
#[test]
fn a_pod_without_mknod_builds_what_needs_none() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?.file(
        "Dockerfile",
        format!(
            "FROM {}\nRUN touch /x && ! mknod /null c 1 3\n",
            lab.busybox()?
        ),
    )?;
    let pod = Pod::new(lab).without_capabilities(&["MKNOD", "NET_RAW", "AUDIT_WRITE"]);
    Built::by(pod, lab, context, &[]).map(drop)
}
