//! Base images of every make.

use anyhow::Result;
use kigumi_tests::image::{Family, Packing};
use kigumi_tests::{ImageBuilder, Index, Lab, LayerBuilder};
use serde_json::json;

use crate::Comparison;

fn rooted(lab: &Lab) -> Result<LayerBuilder> {
    LayerBuilder::with_shell(lab)?
        .dir("etc", 0o755)?
        .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n")?
        .dir("proc", 0o755)?
        .dir("sys", 0o755)?
        .dir("dev", 0o755)?
        .dir("tmp", 0o1777)
}

// T-BUG-09, T-BUG-10, T-BUG-14, T-CACHE-23
#[test]
fn a_base_of_many_layers_with_whiteouts_opaque_marks_and_special_files() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    let lower = rooted(lab)?
        .dir("d", 0o755)?
        .file("d/hidden", 0o644, "hidden")?
        .dir("d/sub", 0o755)?
        .file("d/sub/hidden", 0o644, "hidden")?
        .file("gone", 0o644, "gone")?
        .dir("tree", 0o755)?
        .file("tree/leaf", 0o644, "leaf")?
        .fifo("pipe", 0o640)?
        .device("null", 0o666, 1, 3)?
        .owned_by(12, 34)
        .symlink("owned-link", "etc/passwd")?
        .xattr("user.note", b"kept")
        .file("noted", 0o644, "noted")?;
    let middle = LayerBuilder::new()
        .opaque("d")?
        .file("d/new", 0o600, "new")?
        .whiteout("gone")?;
    let upper = LayerBuilder::new()
        .whiteout("tree")?
        .file("top", 0o4755, "top")?;
    ImageBuilder::new(lab)?
        .layer(lower)?
        .packing(Packing::Zstd)
        .layer(middle)?
        .packing(Packing::Tar)
        .layer(upper)?
        .push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    Comparison::new(&format!(
        "FROM {reference} AS base
        RUN busybox ls -laR /d /tree > /seen 2>&1; busybox rm -f /seen; busybox touch /after
        FROM scratch
        COPY --from=base / /"
    ))?
    // BuildKit copies no attribute but capabilities, buildah copies all.
    .allow(|allowed| allowed.settings(&["config.Env"]).paths(&["noted"]))
    .check()
}

// T-META-04
#[test]
fn an_entrypoint_clears_the_command_of_a_docker_base() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    ImageBuilder::new(lab)?
        .family(Family::Docker)
        .setting("Cmd", json!(["from", "the", "base"]))
        .setting("Entrypoint", json!(["/old"]))
        .setting("Labels", json!({ "base": "yes", "both": "base" }))
        .setting("ExposedPorts", json!({ "1/tcp": {} }))
        .setting("User", json!("root"))
        .setting("WorkingDir", json!("/tmp"))
        .layer(rooted(lab)?)?
        .push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    Comparison::new(&format!(
        "FROM {reference}
        LABEL both=child child=yes
        EXPOSE 2
        RUN busybox pwd > here
        ENTRYPOINT [\"/bin/sh\"]"
    ))?
    .with_docker_config()
    .check()
}

// T-STAGE-05
#[test]
fn triggers_of_a_base_run_in_the_child_and_only_there() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    ImageBuilder::new(lab)?
        .family(Family::Docker)
        .setting(
            "OnBuild",
            json!([
                "COPY . /app",
                "RUN busybox touch /triggered",
                "ENV ON=build"
            ]),
        )
        .layer(rooted(lab)?)?
        .push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    Comparison::new(&format!("FROM {reference}\nRUN echo $ON > /app/value\n"))?
        .files(|context| context.file("file", "content"))?
        .with_docker_config()
        .check()
}

#[test]
fn the_image_of_this_platform_is_chosen_from_an_index() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    let (repository, _) = name.split_once(':').unwrap_or((&name, ""));
    let mut index = Index::new(Family::Oci);
    for architecture in ["s390x", "amd64"] {
        let layer = rooted(lab)?.file("architecture", 0o644, architecture)?;
        let tag = format!("{repository}:{architecture}");
        let builder = ImageBuilder::new(lab)?
            .architecture(architecture)
            .layer(layer)?;
        index = index.image(&builder.push(lab.plain(), &tag)?);
    }
    index.push(lab.plain(), &name)?;
    Comparison::new(&format!(
        "FROM {}\nRUN echo built > /built",
        lab.destination(&name)
    ))?
    .check()
}

// T-UNPACK-09
#[test]
fn a_real_distribution_with_users_made_and_packages_removed() -> Result<()> {
    Comparison::new(
        "FROM {debian}
        RUN useradd --create-home --shell /bin/bash --uid 4000 someone
        RUN dpkg --purge --force-all e2fsprogs logsave mount
        RUN chown -R someone /var/mail && ln -s /usr/share/doc /docs
        USER someone
        WORKDIR /home/someone
        RUN echo 'export A=b' >> .bashrc && mkdir .config && echo x > .config/file",
    )?
    // Logs and databases with the time of the run in them.
    .allow(|allowed| {
        allowed.paths(&[
            "var/log",
            "var/cache/ldconfig",
            "var/lib/dpkg",
            "etc/shadow",
            "etc/shadow-",
        ])
    })
    .check()
}

// T-SNAP-19, T-COPY-02
#[test]
fn capabilities_of_files_are_kept_and_moved() -> Result<()> {
    // CAP_NET_BIND_SERVICE, permitted and effective: a vfs_cap_data of version 2.
    let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    let layer = rooted(lab)?
        .xattr("security.capability", capability)
        .file("ping", 0o755, "ping")?
        .xattr("security.capability", capability)
        .file("removed", 0o755, "removed")?;
    ImageBuilder::new(lab)?
        .layer(layer)?
        .push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    Comparison::new(&format!(
        "FROM {reference} AS base
        RUN busybox mkdir /bin2 && busybox mv /ping /bin2/ping && busybox rm /removed
        FROM {reference}
        COPY --from=base /bin2 /copied
        COPY --from=base /bin2/ping /ping"
    ))?
    .check()
}

// T-BUG-09
#[test]
fn an_opaque_directory_is_copied_from_and_added_to() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    let lower = rooted(lab)?
        .dir("d", 0o755)?
        .file("d/lower", 0o644, "lower")?
        .dir("d/deep", 0o755)?
        .file("d/deep/lower", 0o644, "lower")?;
    let upper = LayerBuilder::new()
        .dir("d", 0o700)?
        .opaque("d")?
        .dir("d/deep", 0o711)?
        .file("d/deep/upper", 0o644, "upper")?;
    ImageBuilder::new(lab)?
        .layer(lower)?
        .layer(upper)?
        .push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    Comparison::new(&format!(
        "FROM {reference} AS base
        RUN busybox touch /d/new && busybox rm -r /d/deep && busybox mkdir /d/deep
        FROM {reference}
        COPY --from=base /d /d
        COPY --from=base /d /e"
    ))?
    .check()
}

// T-STAGE-05
#[test]
fn triggers_with_arguments_directories_and_users() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("base");
    ImageBuilder::new(lab)?
        .family(Family::Docker)
        .setting(
            "OnBuild",
            json!([
                "ARG WHAT=default",
                "WORKDIR /triggered",
                "RUN echo $WHAT > what",
                "COPY --chown=3:4 file ./",
                "LABEL what=$WHAT",
                "EXPOSE 99"
            ]),
        )
        .layer(rooted(lab)?)?
        .push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    Comparison::new(&format!(
        "FROM {reference}
        RUN pwd > /where
        ONBUILD RUN echo again
        FROM {reference}
        WORKDIR below"
    ))?
    .files(|context| context.file("file", "content"))?
    .build_arg("WHAT=given")
    .with_docker_config()
    .check()
}

// T-UNPACK-09
#[test]
fn a_package_is_made_installed_and_removed() -> Result<()> {
    Comparison::new(
        "FROM {debian}
        WORKDIR /package
        RUN mkdir -p root/DEBIAN root/usr/share/thing root/etc && echo data > root/usr/share/thing/data && echo c > root/etc/thing.conf
        RUN printf 'Package: thing\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b.c>\\nDescription: d\\n' > root/DEBIAN/control
        RUN SOURCE_DATE_EPOCH=1 dpkg-deb --build -Zgzip root thing.deb && dpkg -i thing.deb
        RUN dpkg -L thing > /files && dpkg -r thing && rm -r root && ls /etc/thing* >> /files; true",
    )?
    // Times are in the archive and in the log.
    .allow(|allowed| allowed.paths(&["var/log", "package/thing.deb"]))
    .check()
}
