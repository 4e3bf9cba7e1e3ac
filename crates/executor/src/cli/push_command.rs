//! `executor push`: an image that lies in a file, to where a build would push it.

use super::{BuildFlags, CredentialFlags, LogFlags, MirrorFlags, RegistryArgs};

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PushCommand {
    /// An archive of `docker save`, or the directory of an OCI layout
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Where to push, repeatable
    #[arg(short = 'd', long, value_name = "IMAGE", required = true, action = clap::ArgAction::Append, help_heading = "Output")]
    pub destination: Vec<String>,
    /// How to speak to registries.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Mirrors, and what else is said of single registries.
    #[command(flatten)]
    pub mirrors: MirrorFlags,
    /// Where credentials are looked for.
    #[command(flatten)]
    pub credentials: CredentialFlags,
    /// Directory of the executor; `KANIKO_DIR` says the same
    #[arg(long, value_name = "DIRECTORY", help_heading = "Root filesystem")]
    pub kaniko_dir: Option<String>,
    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogFlags,
}

impl PushCommand {
    /// The flags of a build that pushes to the same places in the same way.
    #[must_use]
    pub fn as_build(&self, defaults: BuildFlags) -> BuildFlags {
        BuildFlags {
            destination: self.destination.clone(),
            no_push: Some(false),
            registry: self.registry.clone(),
            mirrors: self.mirrors.clone(),
            credentials: self.credentials.clone(),
            kaniko_dir: self.kaniko_dir.clone(),
            log: self.log.clone(),
            ..defaults
        }
    }
}
