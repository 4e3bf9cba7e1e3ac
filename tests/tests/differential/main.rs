//! The same Dockerfile built by kigumi in a pod and by Debian's buildah: the same files, the same
//! config, field by field. Every difference that is allowed is written down here.

mod archives;
mod bases;
mod config;
mod copy;
mod ignored;
mod mounts;
mod run;
mod stages;

use anyhow::{Context as _, Result, bail};
use kigumi_tests::image::{Allowed, compare};
use kigumi_tests::{Built, Context, Image, Lab, Peer};
use serde_json::json;

/// What buildah's RUN adds to an image: mount points for its own files.
const LEFT_BY_BUILDAH: &[&str] = &["etc/hosts", "etc/hostname", "etc/resolv.conf", "run"];

/// One Dockerfile for both builders.
struct Comparison {
    lab: &'static Lab,
    context: Context,
    build_arguments: Vec<String>,
    peer_options: Vec<String>,
    allowed: Allowed,
}

impl Comparison {
    /// `{busybox}` and `{debian}` in the text stand for the lab's base images.
    fn new(dockerfile: &str) -> Result<Self> {
        let lab = Lab::get()?;
        let mut text = dockerfile.to_owned();
        if text.contains("{busybox}") {
            text = text.replace("{busybox}", &lab.busybox()?);
        }
        if text.contains("{debian}") {
            text = text.replace("{debian}", &lab.debian()?);
        }
        // The default working directory is written out by BuildKit and left out by buildah.
        let allowed = Allowed::nothing()
            .default_of("config.WorkingDir", json!("/"))
            // T-META-06: BuildKit marks every CMD so, buildah none.
            .settings(&["config.ArgsEscaped"])
            .paths(LEFT_BY_BUILDAH);
        Ok(Self {
            lab,
            context: Context::new(lab)?.file("Dockerfile", text)?,
            build_arguments: Vec::new(),
            peer_options: Vec::new(),
            allowed,
        })
    }

    /// Files of the context.
    fn files(mut self, make: impl FnOnce(Context) -> Result<Context>) -> Result<Self> {
        self.context = make(self.context)?;
        Ok(self)
    }

    /// `--build-arg` for both.
    fn build_arg(mut self, text: &str) -> Self {
        self.build_arguments.push(format!("--build-arg={text}"));
        self
    }

    /// Another option that both have.
    fn option(mut self, text: &str) -> Self {
        self.build_arguments.push(text.to_owned());
        self
    }

    /// Options of buildah that make it keep what its default format cannot hold.
    fn with_docker_config(mut self) -> Self {
        self.peer_options.push("--format=docker".to_owned());
        // What a daemon of old wrote into a config and nobody reads.
        self.allow(|allowed| {
            allowed.settings(&[
                "container",
                "container_config",
                "docker_version",
                "config.Image",
                "parent",
                "config.Hostname",
            ])
        })
    }

    fn allow(mut self, change: impl FnOnce(Allowed) -> Allowed) -> Self {
        self.allowed = change(self.allowed);
        self
    }

    fn check(self) -> Result<()> {
        let name = Lab::unique_name("peer");
        let arguments = self.build_arguments.iter().map(String::as_str);
        let options: Vec<&str> = arguments
            .clone()
            .chain(self.peer_options.iter().map(String::as_str))
            .collect();
        Peer::new(self.lab).buildah_build(self.context.path(), &name, &options)?;
        let theirs = Image::pull(self.lab.plain(), &name)?;
        let built = Built::of(self.lab, self.context, &arguments.collect::<Vec<_>>())
            .context("build with kigumi")?;
        let differences = compare(&theirs, &built.image, &self.allowed);
        if differences.is_empty() {
            return Ok(());
        }
        bail!(
            "left is buildah, right is kigumi\n  {}",
            differences.join("\n  ")
        )
    }
}
