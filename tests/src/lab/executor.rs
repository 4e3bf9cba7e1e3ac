//! The executor as an image: `kaniko-contract` §7, built without any image builder.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{Lab, base, target_directory};
use crate::image::{ImageBuilder, LayerBuilder, digest_of};
use crate::tool;

/// The images that hold an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// The static binary and nothing else.
    Executor,
    /// The same with a static busybox at `/busybox`.
    Debug,
    /// The same, started by its other name.
    Warmer,
}

const CA_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// What the executor looks for beside itself, to know its own image: the build that it is.
const MARKER: &str = concat!("kigumi ", env!("CARGO_PKG_VERSION"), "\n");
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the static executor as the lab runs it and says where it is.
///
/// `$KIGUMI_EXECUTOR` names a binary to use instead.
pub fn build_executor() -> Result<PathBuf> {
    if let Some(path) = env::var_os("KIGUMI_EXECUTOR") {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "KIGUMI_EXECUTOR={} is no file",
            path.display()
        );
        return Ok(path);
    }
    let target = target_directory()?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The target is named so that proc macros, which must be shared objects, do not get the flag.
    tool::run(
        Command::new(cargo)
            .current_dir(workspace)
            .args(["build", "--quiet", "--profile", "lab", "--target", TARGET])
            .args(["--package", "kigumi-executor", "--bin", "executor"])
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .env("CARGO_TARGET_DIR", &target),
    )
    .context("build the static executor")?;
    Ok(target.join(TARGET).join("lab/executor"))
}

pub(super) fn image(lab: &Lab, variant: Variant) -> Result<String> {
    let binary = build_executor()?;
    let program = fs::read(&binary).with_context(|| format!("read {}", binary.display()))?;
    // A lab may be shared by several checkouts: each runs its own executor, and waits for nobody else's.
    let digest = digest_of(&program);
    let digest = digest.trim_start_matches("sha256:");
    let _lock = lab.state().lock(&format!("executor-{digest}"))?;
    let name = match variant {
        Variant::Executor => format!("kigumi/executor:{digest}"),
        Variant::Debug => format!("kigumi/executor:{digest}-debug"),
        Variant::Warmer => format!("kigumi/executor:{digest}-warmer"),
    };
    let program_name = match variant {
        Variant::Executor | Variant::Debug => "/kaniko/executor",
        Variant::Warmer => "/kaniko/warmer",
    };
    let path = match variant {
        Variant::Executor | Variant::Warmer => "/usr/local/bin:/kaniko",
        Variant::Debug => "/usr/local/bin:/kaniko:/busybox",
    };
    let mut builder = ImageBuilder::new(lab)?
        .setting(
            "Env",
            json!([
                "HOME=/root",
                "USER=root",
                format!("PATH={path}"),
                "SSL_CERT_DIR=/kaniko/ssl/certs",
                "DOCKER_CONFIG=/kaniko/.docker/",
                "DOCKER_CREDENTIAL_GCR_CONFIG=\
             /kaniko/.config/gcloud/docker_credential_gcr_config.json",
            ]),
        )
        .setting("WorkingDir", json!("/workspace"))
        .setting("Entrypoint", json!([program_name]))
        .layer(executor_layer(program)?)?;
    if variant == Variant::Debug {
        builder = builder
            .setting("Volumes", json!({ "/busybox": {} }))
            .layer(debug_layer(&lab.busybox_program()?)?)?;
    }
    builder.push(lab.plain(), &name)?;
    let reference = lab.destination(&name);
    tool::run(
        lab.podman()
            .args(["pull", "--quiet", "--tls-verify=false", &reference]),
    )?;
    Ok(reference)
}

fn executor_layer(program: Vec<u8>) -> Result<LayerBuilder> {
    let roots = fs::read(CA_ROOTS).with_context(|| format!("read {CA_ROOTS}"))?;
    LayerBuilder::new()
        .dir("etc", 0o755)?
        .file("etc/nsswitch.conf", 0o644, "hosts: files dns\n")?
        .dir("root", 0o700)?
        // Mounts below /var/run land in /run, as in images of distributions.
        .dir("run", 0o755)?
        .dir("var", 0o755)?
        .symlink("var/run", "/run")?
        .dir("cache", 0o755)?
        .dir("kaniko", 0o777)?
        .dir("kaniko/.docker", 0o777)?
        .dir("kaniko/ssl", 0o755)?
        .dir("kaniko/ssl/certs", 0o777)?
        .file("kaniko/ssl/certs/ca-certificates.crt", 0o644, roots)?
        .file("kaniko/executor", 0o755, program)?
        .file("kaniko/kigumi-image", 0o444, MARKER)?
        .dir("kigumi", 0o755)?
        .file("kigumi/kigumi-image", 0o444, MARKER)?
        .hard_link("kigumi/executor", "kaniko/executor")?
        .hard_link("kaniko/warmer", "kaniko/executor")?
        .hard_link("kaniko/docker-credential-gcr", "kaniko/executor")?
        .hard_link("kaniko/docker-credential-ecr-login", "kaniko/executor")?
        .hard_link("kaniko/docker-credential-acr-env", "kaniko/executor")?
        .dir("workspace", 0o755)
}

fn debug_layer(program: &Path) -> Result<LayerBuilder> {
    let content = fs::read(program).with_context(|| format!("read {}", program.display()))?;
    let mut layer = LayerBuilder::new()
        .dir("bin", 0o755)?
        .symlink("bin/sh", "/busybox/sh")?
        .dir("tmp", 0o1777)?
        .dir("busybox", 0o755)?
        .file("busybox/busybox", 0o755, content)?;
    for applet in base::busybox_applets(program)? {
        layer = layer.hard_link(&format!("busybox/{applet}"), "busybox/busybox")?;
    }
    Ok(layer)
}

/// Puts what `Dockerfile.executor` copies into a directory: its build context.
pub fn stage_image_context(lab: &Lab, directory: &Path) -> Result<()> {
    let binary = build_executor()?;
    let busybox = lab.busybox_program()?;
    let parts = [
        (binary.as_path(), "executor"),
        (busybox.as_path(), "busybox"),
    ];
    for (source, name) in parts {
        let place = directory.join(name);
        fs::copy(source, &place).with_context(|| format!("copy {}", source.display()))?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
    }
    let roots = directory.join("ca-certificates.crt");
    fs::copy(CA_ROOTS, roots).with_context(|| format!("copy {CA_ROOTS}"))?;
    let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Dockerfile.executor");
    fs::copy(&dockerfile, directory.join("Dockerfile")).context("copy Dockerfile.executor")?;
    Ok(())
}
