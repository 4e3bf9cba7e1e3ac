//! Images as other people's tools see them: skopeo, umoci, podman; and as our strict checker does.

use anyhow::{Result, ensure};
use kigumi_tests::{Built, Context, Image, Lab, Peer, Pod};
use serde_json::Value;

const DOCKERFILE: &str = "
RUN mkdir -p /a/b && echo x > /a/b/c && ln /a/b/c /a/d && ln -s ../a /e && chmod 4755 /a/b/c
RUN rm -r /var/www && mkfifo /pipe && chown 12:34 /pipe
COPY . /context/
LABEL one=1
ENV TWO=2
EXPOSE 80
ENTRYPOINT [\"sh\", \"-c\"]
CMD [\"stat -c '%a %u:%g %h' /context/file; readlink /e; test -p /pipe && stat -c %u:%g /pipe\"]
";

fn build(lab: &Lab) -> Result<Built> {
    let context = Context::new(lab)?
        .file("Dockerfile", format!("FROM {}{DOCKERFILE}", lab.busybox()?))?
        .file_with_mode("file", "content", 0o640)?
        .file("name with spaces", "")?
        .file("ünïcode", "")?;
    Built::of(lab, context, &[])
}

#[test]
fn skopeo_inspects_the_image() -> Result<()> {
    let lab = Lab::get()?;
    let built = build(lab)?;
    let seen = Peer::new(lab).skopeo_inspect(&built.name)?;
    ensure!(seen["Digest"] == built.image.digest(), "{seen}");
    ensure!(seen["Labels"]["one"] == "1", "{seen}");
    ensure!(
        seen["Architecture"] == "amd64" && seen["Os"] == "linux",
        "{seen}"
    );
    let layers = seen["Layers"].as_array().map_or(0, Vec::len);
    ensure!(layers == built.image.layers.len(), "{seen}");
    Ok(())
}

#[test]
fn umoci_unpacks_the_image_to_the_tree_that_its_layers_describe() -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let lab = Lab::get()?;
    let built = build(lab)?;
    let bundle = Peer::new(lab).umoci_unpack(&built.name)?;
    let mut seen = 0;
    for (path, node) in &built.image.flatten().nodes {
        let metadata = bundle.rootfs().join(path).symlink_metadata()?;
        let is_link = metadata.file_type().is_symlink();
        ensure!(
            is_link || metadata.mode() & 0o7777 == node.mode,
            "/{path}: {:o}",
            metadata.mode()
        );
        let owner = (u64::from(metadata.uid()), u64::from(metadata.gid()));
        ensure!(owner == (node.uid, node.gid), "/{path}: {owner:?}");
        ensure!(
            !metadata.is_file() || metadata.len() == node.size,
            "/{path}: {}",
            metadata.len()
        );
        seen += 1;
    }
    ensure!(seen > 250, "{seen} files of a whole busybox");
    let inode = |path: &str| {
        bundle
            .rootfs()
            .join(path)
            .metadata()
            .map(|found| found.ino())
    };
    ensure!(inode("a/b/c")? == inode("a/d")?, "hard links");
    Ok(())
}

#[test]
fn podman_runs_the_image() -> Result<()> {
    let lab = Lab::get()?;
    let built = build(lab)?;
    let said = Peer::new(lab).podman_run(&built.name, &[])?;
    ensure!(said.stdout == "640 0:0 1\n../a\n12:34\n", "{said:?}");
    Ok(())
}

// K-OUT-07, K-OUT-08
#[test]
fn an_archive_and_a_layout_hold_the_image_that_was_pushed() -> Result<()> {
    let lab = Lab::get()?;
    let name = Lab::unique_name("outputs");
    let destination = lab.destination(&name);
    let outcome = Pod::new(lab)
        .dockerfile(format!("FROM {}{DOCKERFILE}", lab.busybox()?))
        .args([
            "--destination",
            &destination,
            "--oci-layout-path=/workspace/layout",
        ])
        .args(["--tar-path=/workspace/image.tar"])
        .run()?;
    outcome.success()?;
    let pushed = Image::pull(lab.plain(), &name)?;
    pushed.strict()?;
    let layout = Image::from_layout(&outcome.workspace().join("layout"))?;
    layout.strict()?;
    ensure!(
        layout.manifest.bytes == pushed.manifest.bytes,
        "the layout has the pushed manifest"
    );
    let archive = outcome.workspace().join("image.tar");
    let copy = Lab::unique_name("from-archive");
    // skopeo verifies every layer of the archive against the config on its way.
    kigumi_tests::run(lab.tool("skopeo").args([
        "copy",
        "--quiet",
        "--insecure-policy",
        "--dest-tls-verify=false",
        &format!("docker-archive:{}", archive.display()),
        &format!("docker://{}", lab.destination(&copy)),
    ]))?;
    let copied = Image::pull(lab.plain(), &copy)?;
    let config = |image: &Image| image.config.value.get("config").cloned();
    ensure!(config(&copied) == config(&pushed), "{:?}", config(&copied));
    let (a, b) = (copied.flatten().to_string(), pushed.flatten().to_string());
    ensure!(a == b, "the archive holds the same files");
    Ok(())
}

// T-HIST-02, T-HIST-03
#[test]
fn history_has_a_line_for_every_instruction_and_a_layer_for_those_that_make_one() -> Result<()> {
    let lab = Lab::get()?;
    let built = build(lab)?;
    let history = built.image.config.value["history"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let own: Vec<&Value> = history
        .iter()
        .filter(|entry| entry["comment"] == "buildkit.dockerfile.v0")
        .collect();
    ensure!(own.len() == 8, "8 instructions after FROM: {history:#?}");
    let empty = own
        .iter()
        .filter(|entry| entry["empty_layer"] == true)
        .count();
    ensure!(empty == 5, "LABEL ENV EXPOSE ENTRYPOINT CMD: {history:#?}");
    ensure!(
        history.len() == own.len() + 1,
        "the base's history stays: {history:#?}"
    );
    Ok(())
}
