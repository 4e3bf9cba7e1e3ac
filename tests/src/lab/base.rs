//! Base images from Debian packages, published once to the lab's registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Lab;
use crate::image::{ImageBuilder, LayerBuilder};
use crate::tool;

const SUITE: &str = "bookworm";

/// Packages of the image with build tools.
const BUILD_PACKAGES: &str = "gcc,g++,make,libc6-dev,git,ca-certificates,curl,pkg-config";

pub(super) fn debian(lab: &Lab) -> Result<String> {
    publish(lab, "debian:bookworm", |name| {
        let archive = bootstrap(lab, "debian", None)?;
        push_debian(lab, name, &archive)
    })
}

pub(super) fn debian_build(lab: &Lab) -> Result<String> {
    publish(lab, "debian-build:bookworm", |name| {
        let archive = bootstrap(lab, "debian-build", Some(BUILD_PACKAGES))?;
        push_debian(lab, name, &archive)
    })
}

/// Packages of the large base of the benchmarks.
const BENCH_PACKAGES: &str = "gcc,g++,make,libc6-dev,git,ca-certificates,curl,pkg-config,python3,nodejs,npm,\
    default-jdk-headless,cmake,clang";

/// How many layers the large base of the benchmarks has.
const BENCH_LAYERS: u64 = 8;

pub(super) fn bench_small(lab: &Lab) -> Result<String> {
    publish(lab, "bench-small:bookworm", |name| {
        let archive = bootstrap(lab, "debian", None)?;
        ImageBuilder::new(lab)?
            .archive_file(&archive)?
            .push(lab.plain(), name)
            .map(drop)
    })
}

pub(super) fn bench_big(lab: &Lab) -> Result<String> {
    publish(lab, "bench-big:bookworm", |name| {
        let archive = bootstrap(lab, "bench-big", Some(&BENCH_PACKAGES.replace(' ', "")))?;
        let directory = lab.temp_dir()?;
        let mut image = ImageBuilder::new(lab)?;
        for part in split(&archive, directory.path())? {
            image = image.archive_file(&part)?;
        }
        image.push(lab.plain(), name).map(drop)
    })
}

/// Cuts an archive between entries into parts of about the same size. Links stay valid: what they lead to lies in the same part or in one before.
fn split(archive: &Path, directory: &Path) -> Result<Vec<PathBuf>> {
    let total = fs::metadata(archive).context("look at the archive")?.len();
    let mut input = tar::Archive::new(fs::File::open(archive).context("open the archive")?);
    let mut parts = Vec::new();
    let mut output: Option<tar::Builder<fs::File>> = None;
    // The extensions before an entry are entries of their own here, and must stay with it.
    let mut is_extended = false;
    for entry in input.entries()?.raw(true) {
        let mut entry = entry.context("read the archive")?;
        let due = entry.raw_header_position() * BENCH_LAYERS / total.max(1);
        if output.is_none() || (due >= parts.len() as u64 && !is_extended) {
            let path = directory.join(format!("part-{}.tar", parts.len()));
            let file = fs::File::create(&path).context("create a part of the archive")?;
            parts.push(path);
            if let Some(mut done) = output.replace(tar::Builder::new(file)) {
                done.finish().context("write a part of the archive")?;
            }
        }
        let kind = entry.header().entry_type();
        is_extended =
            kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink();
        let header = entry.header().clone();
        if let Some(output) = &mut output {
            output
                .append(&header, &mut entry)
                .context("write a part of the archive")?;
        }
    }
    if let Some(mut done) = output {
        done.finish().context("write a part of the archive")?;
    }
    Ok(parts)
}

pub(super) fn busybox(lab: &Lab) -> Result<String> {
    publish(lab, "busybox:latest", |name| {
        ImageBuilder::new(lab)?
            .setting("Cmd", json!(["sh"]))
            .layer(busybox_layer(&lab.busybox_program()?)?)?
            .push(lab.plain(), name)
            .map(drop)
    })
}

/// Makes and uploads an image unless the registry has it.
fn publish(lab: &Lab, name: &str, make: impl FnOnce(&str) -> Result<()>) -> Result<String> {
    // One lock for all: two bootstraps at once would only be slower.
    let _lock = lab.state().lock("base")?;
    let name = format!("{name}-{}", recipe());
    let (repository, tag) = name.split_once(':').context("a base image has a tag")?;
    if lab.plain().find_manifest(repository, tag)?.is_none() {
        make(&name).with_context(|| format!("make the base image {name}"))?;
    }
    Ok(lab.destination(&name))
}

/// Stands for how base images are made: this file. A lab that outlives a change of it makes them anew.
fn recipe() -> String {
    let digest = hex::encode(Sha256::digest(include_bytes!("base.rs")));
    digest.chars().take(12).collect()
}

fn push_debian(lab: &Lab, name: &str, archive: &Path) -> Result<()> {
    ImageBuilder::new(lab)?
        .setting("Cmd", json!(["bash"]))
        .layer(LayerBuilder::new().dir("dev", 0o755)?)?
        .archive_file(archive)?
        .push(lab.plain(), name)
        .map(drop)
}

fn bootstrap(lab: &Lab, name: &str, include: Option<&str>) -> Result<PathBuf> {
    let directory = lab.state().directory("cache")?;
    let archive = directory.join(format!("{name}-{SUITE}-{}.tar", recipe()));
    if archive.is_file() {
        return Ok(archive);
    }
    let unfinished = directory.join(format!("{name}-{SUITE}.unfinished.tar"));
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--mode=root"]);
    // A container runtime makes /dev; device nodes in a layer would only be in the way.
    command.args(["--skip=output/dev", "--skip=output/mknod"]);
    // The second is for the builds upon it, too: it stays in the image.
    command.args([
        "--aptopt=Acquire::Languages \"none\"",
        "--aptopt=Acquire::Retries \"5\"",
    ]);
    if let Some(packages) = include {
        command.arg(format!("--include={packages}"));
    }
    command.env("TMPDIR", lab.state().path("tmp"));
    command.arg(SUITE).arg(&unfinished);
    tool::again(|| tool::run(&mut command)).context("bootstrap Debian")?;
    fs::rename(&unfinished, &archive).context("keep the bootstrapped Debian")?;
    Ok(archive)
}

/// An imitation of the well-known busybox image: every applet a hard link of one file in `/bin`.
fn busybox_layer(program: &Path) -> Result<LayerBuilder> {
    let content = fs::read(program).with_context(|| format!("read {}", program.display()))?;
    let mut layer = LayerBuilder::new()
        .dir("bin", 0o755)?
        .dir("dev", 0o755)?
        .dir("etc", 0o755)?
        .dir("home", 0o755)?
        .dir("proc", 0o755)?
        .dir("root", 0o700)?
        .dir("sys", 0o755)?
        .dir("tmp", 0o1777)?
        .dir("usr", 0o755)?
        .dir("usr/bin", 0o755)?
        .dir("usr/sbin", 0o755)?
        .dir("var", 0o755)?
        .dir("var/spool", 0o755)?
        .dir("var/spool/mail", 0o755)?
        .dir("var/www", 0o755)?
        .file("etc/passwd", 0o644, PASSWD)?
        .file("etc/group", 0o644, GROUP)?
        .symlink("usr/bin/env", "../../bin/env")?
        .file("bin/busybox", 0o755, content)?;
    for applet in busybox_applets(program)? {
        layer = layer.hard_link(&format!("bin/{applet}"), "bin/busybox")?;
    }
    Ok(layer)
}

/// Names that a busybox answers to, itself apart.
pub(super) fn busybox_applets(program: &Path) -> Result<Vec<String>> {
    let listed = tool::run(Command::new(program).arg("--list"))?.stdout;
    Ok(listed
        .lines()
        .filter(|name| *name != "busybox")
        .map(str::to_owned)
        .collect())
}

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
";

const GROUP: &str = "\
root:x:0:
daemon:x:1:
wheel:x:10:root
mail:x:8:
www-data:x:33:
users:x:100:
nobody:x:65534:
";
