//! Other people's tools as judges and as a peer builder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Lab, tool};

/// Debian's buildah, podman, skopeo and umoci over the lab's registry.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    lab: &'a Lab,
}

/// An image unpacked by umoci.
#[derive(Debug)]
pub struct Bundle {
    directory: TempDir,
}

impl Bundle {
    /// The root filesystem.
    pub fn rootfs(&self) -> PathBuf {
        self.directory.path().join("bundle/rootfs")
    }
}

impl<'a> Peer<'a> {
    /// The tools of this lab.
    pub fn new(lab: &'a Lab) -> Self {
        Self { lab }
    }

    /// Builds a context with buildah and pushes the result to the plain registry.
    ///
    /// One layer per build, OCI types unless the options say otherwise; the label that names
    /// buildah is left out.
    pub fn buildah_build(&self, context: &Path, name: &str, options: &[&str]) -> Result<()> {
        let reference = self.lab.destination(name);
        let local = format!("localhost/{name}");
        let state = self.lab.state();
        let mut build = self.fenced("buildah");
        build.arg("--signature-policy").arg(state.policy_file());
        build.args(["bud", "--quiet", "--isolation=chroot", "--layers=false"]);
        build.args([
            "--pull-always",
            "--identity-label=false",
            "--no-cache",
            "--network=host",
        ]);
        build.args(["--tls-verify=false", "--tag", &local]);
        let build = build.args(options).arg(context);
        // Its store is shared by tests that run side by side, and it loses a race in it now and then. It is the judge here, not the judged.
        if let Err(first) = tool::run(build) {
            tool::run(build)
                .with_context(|| format!("build with buildah, which failed before: {first}"))?;
        }
        let mut push = self.fenced("buildah");
        push.arg("--signature-policy").arg(state.policy_file());
        push.args(["push", "--quiet", "--tls-verify=false", &local]);
        tool::run(push.arg(format!("docker://{reference}"))).context("push with buildah")?;
        tool::run(self.fenced("buildah").args(["rmi", "--force", &local]))?;
        Ok(())
    }

    /// The two commands that build a context and push it to the plain registry, with a storage of their own: nothing is known before, nothing is kept.
    ///
    /// With a cache repository, intermediate layers are looked for and kept there.
    pub fn buildah_cold(
        &self,
        context: &Path,
        name: &str,
        storage: &Path,
        cache: Option<&str>,
    ) -> [Command; 2] {
        let local = format!("localhost/{name}");
        let command = || {
            let mut command = self.forgetful("buildah", &storage.join("known"));
            command.arg("--root").arg(storage.join("root"));
            command.arg("--runroot").arg(storage.join("run"));
            let policy = self.lab.state().policy_file();
            command.arg("--signature-policy").arg(policy);
            command
        };
        let mut build = command();
        build.args(["bud", "--quiet", "--isolation=chroot", "--network=host"]);
        if let Some(cache) = cache {
            let cache = self.lab.destination(cache);
            build.args(["--layers", "--cache-from", &cache, "--cache-to", &cache]);
        }
        build
            .args(["--tls-verify=false", "--tag", &local])
            .arg(context);
        let mut push = command();
        push.args(["push", "--quiet", "--tls-verify=false", &local]);
        push.arg(format!("docker://{}", self.lab.destination(name)));
        [build, push]
    }

    /// Runs a command in a fresh container of an image in the plain registry.
    pub fn podman_run(&self, name: &str, command: &[&str]) -> Result<tool::Output> {
        let mut podman = self.lab.podman();
        podman.args([
            "run",
            "--rm",
            "--network=host",
            "--pull=always",
            "--tls-verify=false",
        ]);
        tool::attempt(podman.arg(self.lab.destination(name)).args(command))
    }

    /// `skopeo inspect` of an image in the plain registry.
    pub fn skopeo_inspect(&self, name: &str) -> Result<Value> {
        let mut skopeo = self.lab.tool("skopeo");
        skopeo.args(["inspect", "--tls-verify=false"]);
        let said = tool::run(skopeo.arg(format!("docker://{}", self.lab.destination(name))))?;
        serde_json::from_str(&said.stdout).context("parse what skopeo says")
    }

    /// Copies an image with skopeo, in its own notation (`docker://…`, `oci:…`, `docker-archive:…`).
    pub fn skopeo_copy(&self, source: &str, target: &str) -> Result<()> {
        let mut skopeo = self.lab.tool("skopeo");
        skopeo.arg("--policy").arg(self.lab.state().policy_file());
        skopeo.args([
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
        ]);
        tool::run(skopeo.args(["--preserve-digests", source, target]))?;
        Ok(())
    }

    /// `umoci unpack` of an image in the plain registry.
    pub fn umoci_unpack(&self, name: &str) -> Result<Bundle> {
        let directory = self.lab.temp_dir()?;
        let layout = format!("{}/layout:image", directory.path().display());
        self.skopeo_copy(
            &format!("docker://{}", self.lab.destination(name)),
            &format!("oci:{layout}"),
        )?;
        let bundle = directory.path().join("bundle");
        tool::run(
            Command::new("umoci")
                .args(["unpack", "--image", &layout])
                .arg(bundle),
        )?;
        Ok(Bundle { directory })
    }

    /// The same, and what containers/image keeps of earlier pulls and pushes on this machine is not there: it has a directory of its own.
    fn forgetful(self, name: &str, known: &Path) -> Command {
        const CACHE: &str = "/var/lib/containers/cache";
        let script =
            format!("mkdir -p {CACHE} \"$0\" && mount --bind \"$0\" {CACHE} && exec \"$@\"");
        let mut command = self.fenced("sh");
        command.arg("-c").arg(script).arg(known).arg(name);
        command
    }

    /// A tool in a mount namespace of its own: what it mounts ends with it.
    fn fenced(self, name: &str) -> Command {
        let mut command = self.lab.tool("unshare");
        command.args(["--mount", "--propagation", "private", "--", name]);
        command
    }
}
