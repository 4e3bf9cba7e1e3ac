//! What the lab needs from Debian. As root it installs what is missing, otherwise it names it.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::tool;

/// A file that proves a package, and the package.
const NEEDED: &[(&str, &str)] = &[
    ("podman", "podman"),
    ("runc", "runc"),
    ("conmon", "conmon"),
    ("newuidmap", "uidmap"),
    (
        "/etc/containers/policy.json",
        "golang-github-containers-common",
    ),
    ("buildah", "buildah"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("docker-registry", "docker-registry"),
    ("htpasswd", "apache2-utils"),
    ("openssl", "openssl"),
    ("mmdebstrap", "mmdebstrap"),
    (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
    ("/usr/share/doc/busybox-static", "busybox-static"),
    ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
    ("strace", "strace"),
    ("unshare", "util-linux"),
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
    tool::run(apt().args(["update"])).context("refresh the package lists for the lab")?;
    tool::run(
        apt()
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )
    .with_context(|| format!("install for the lab: {}", packages.join(" ")))?;
    Ok(())
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
    // A service that a package wants to start is none of the lab's business (docker-registry has
    // one): Debian's invoke-rc.d asks this variable first.
    command.env("RUNLEVEL", "1");
    command
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
