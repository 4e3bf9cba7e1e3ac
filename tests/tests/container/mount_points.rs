//! What a Dockerfile or a base says about paths that the kubelet has mounted is in the image, and the mounts are untouched.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, ImageBuilder, Lab, LayerBuilder, Pod};

/// Files of a base where a pod has mounts.
fn base_with_pod_files(lab: &Lab) -> Result<String> {
    let name = Lab::unique_name("base");
    let layer = LayerBuilder::with_shell(lab)?
        .dir("etc", 0o755)?
        .owned_by(3, 4)
        .file("etc/hosts", 0o640, "hosts of the base\n")?
        .owned_by(0, 0)
        .file("etc/hostname", 0o644, "base\n")?
        .symlink("etc/resolv.conf", "../run/resolve/stub.conf")?
        .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n")?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    Ok(lab.destination(&name))
}

fn built(dockerfile: &str, context: Context) -> Result<Built> {
    let lab = Lab::get()?;
    Built::of(lab, context.file("Dockerfile", dockerfile)?, &[])
}

// T-UNPACK-08, T-UNPACK-12, T-RUN-07
#[test]
fn files_of_the_base_below_mounts_stay_in_the_image_and_a_run_sees_the_mounts() -> Result<()> {
    let lab = Lab::get()?;
    let base = base_with_pod_files(lab)?;
    let built = built(
        &format!(
            "FROM {base}\n\
             RUN busybox grep -q localhost /etc/hosts && busybox grep -q build-pod /etc/hostname && \
                 busybox test ! -L /etc/resolv.conf && busybox touch /etc/new\n"
        ),
        Context::new(lab)?,
    )?;
    built.has("/etc/hosts", "f 0640 3:4")?;
    built.holds("/etc/hosts", "hosts of the base\n")?;
    built.holds("/etc/hostname", "base\n")?;
    built.has("/etc/resolv.conf", "l 0777 0:0|-> ../run/resolve/stub.conf")?;
    built.has("/etc/new", "f 0644 0:0")?;
    let top = built.top_layer();
    ensure!(top == ["etc/", "etc/new"], "{top:?}");
    Ok(())
}

// T-COPY-24
#[test]
fn a_copy_onto_a_mount_is_in_the_layer_and_a_run_sees_the_mount() -> Result<()> {
    let lab = Lab::get()?;
    let context = Context::new(lab)?
        .file_with_mode("my-hosts", "10.1.1.1 mine\n", 0o604)?
        .file("tree/hosts", "10.2.2.2 tree\n")?
        .file("tree/resolv.conf", "nameserver 10.3.3.3\n")?
        .file("tree/other", "x")?;
    let built = built(
        &format!(
            "FROM {} AS one\n\
             COPY --chown=1:2 my-hosts /etc/hosts\n\
             RUN ! grep mine /etc/hosts && grep -q localhost /etc/hosts && touch /after\n\
             COPY tree/ /etc/\n\
             RUN ! grep 10.3.3.3 /etc/resolv.conf && test -s /etc/other\n\
             FROM scratch\n\
             COPY --from=one /etc /of-one\n\
             COPY --from=one /etc/hosts /hosts\n\
             COPY my-hosts /etc/hosts\n\
             ADD my-hosts /etc/hostname\n",
            lab.busybox()?
        ),
        context,
    )?;
    for path in ["/of-one/hosts", "/hosts"] {
        built.holds(path, "10.2.2.2 tree\n")?;
    }
    built.holds("/of-one/resolv.conf", "nameserver 10.3.3.3\n")?;
    built.holds("/etc/hosts", "10.1.1.1 mine\n")?;
    built.has("/etc/hosts", "f 0604 0:0")?;
    built.holds("/etc/hostname", "10.1.1.1 mine\n")
}

// T-COPY-24, T-UNPACK-12: what others copy is the image's file, never the pod's
#[test]
fn a_stage_on_the_root_gives_others_its_own_files_and_not_those_of_the_pod() -> Result<()> {
    let lab = Lab::get()?;
    let base = base_with_pod_files(lab)?;
    let context = Context::new(lab)?.file("my-hosts", "10.1.1.1 mine\n")?;
    let built = built(
        &format!(
            "FROM {base} AS kept\n\
             RUN busybox touch /x\n\
             FROM {base} AS copied\n\
             RUN busybox touch /x\n\
             COPY my-hosts /etc/hosts\n\
             RUN busybox touch /y\n\
             FROM copied AS child\n\
             RUN busybox touch /z\n\
             FROM scratch\n\
             COPY --from=kept /etc/ /kept/\n\
             COPY --from=copied /etc/hosts /copied\n\
             COPY --from=child /etc/hosts /etc/hostname /child/\n"
        ),
        context,
    )?;
    built.holds("/kept/hosts", "hosts of the base\n")?;
    built.has("/kept/hosts", "f 0640 3:4")?;
    built.has(
        "/kept/resolv.conf",
        "l 0777 0:0|-> ../run/resolve/stub.conf",
    )?;
    built.holds("/copied", "10.1.1.1 mine\n")?;
    built.holds("/child/hosts", "10.1.1.1 mine\n")?;
    built.holds("/child/hostname", "base\n")
}

// T-RUN-07
#[test]
fn a_run_cannot_remove_a_mount_and_the_image_keeps_its_file() -> Result<()> {
    let lab = Lab::get()?;
    let base = base_with_pod_files(lab)?;
    let built = built(
        &format!(
            "FROM {base}\n\
             RUN ! busybox rm /etc/hosts 2>/dev/null && ! busybox mv /etc/hostname /h 2>/dev/null; \
                 echo mine > /etc/hosts; busybox rm -rf /etc/* 2>/dev/null; true\n\
             RUN busybox grep -q localhost /etc/hosts\n"
        ),
        Context::new(lab)?,
    )?;
    built.holds("/etc/hosts", "hosts of the base\n")?;
    built.holds("/etc/hostname", "base\n")?;
    built.has_not("/etc/passwd")
}

// T-COPY-24
#[test]
fn a_working_directory_on_a_mount_is_in_the_image_and_the_mount_is_told_of() -> Result<()> {
    let lab = Lab::get()?;
    let extra = lab.temp_dir()?;
    std::fs::write(extra.path().join("of-the-pod"), "x")?;
    let dockerfile = format!(
        "FROM {}\n\
         WORKDIR /mounted\n\
         COPY file .\n\
         RUN test -e of-the-pod && test ! -e file && echo lost > /tmp/x\n\
         WORKDIR sub/deeper\n\
         COPY file .\n",
        lab.busybox()?
    );
    let context = Context::new(lab)?
        .file("Dockerfile", dockerfile)?
        .file("file", "x")?;
    let pod = Pod::new(lab).mount(extra.path(), "/mounted");
    let built = Built::by(pod, lab, context, &[])?;
    built.has("/mounted", "d 0755 0:0")?;
    built.has("/mounted/file", "f 0644 0:0")?;
    built.has("/mounted/sub/deeper/file", "f 0644 0:0")?;
    built.has_not("/mounted/of-the-pod")?;
    built
        .outcome
        .says("Dockerfile:4")?
        .says("`/mounted` is a mount of the pod")?;
    Ok(())
}

/// A read-only mount has no place for the directory that RUN needs.
#[test]
fn a_working_directory_that_cannot_be_made_below_a_mount_is_named() -> Result<()> {
    let lab = Lab::get()?;
    let extra = lab.temp_dir()?;
    let outcome = Pod::new(lab)
        .dockerfile(format!(
            "FROM {}\nWORKDIR /mounted/sub\nRUN true\n",
            lab.busybox()?
        ))
        .mount(extra.path(), "/mounted")
        .args(["--no-push"])
        .run()?;
    outcome
        .exits_with(1)?
        .says("/mounted/sub")?
        .says("Dockerfile:3")?;
    Ok(())
}

/// T-USER-02: a pod may have a passwd file of its own mounted (arbitrary user ids)
#[test]
fn users_are_those_of_the_image_whatever_the_pod_mounts() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    let layer = LayerBuilder::with_shell(lab)?.dir("etc", 0o755)?.file(
        "etc/passwd",
        0o644,
        "u:x:7:70::/home/u:/bin/sh\n",
    )?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    let extra = lab.temp_dir()?;
    std::fs::write(extra.path().join("passwd"), "u:x:1:1::/:/bin/sh\n")?;
    let dockerfile = format!(
        "FROM {}\nUSER u\nRUN busybox test $(busybox id -u):$(busybox id -g):$HOME = 7:70:/home/u\n",
        lab.destination(&name)
    );
    let context = Context::new(lab)?.file("Dockerfile", dockerfile)?;
    let pod = Pod::new(lab).mount(&extra.path().join("passwd"), "/etc/passwd");
    Built::by(pod, lab, context, &[]).map(drop)
}
