//! From what the user typed to what it means: [`Args`] are the words, [`Config`] is the meaning, and the conversion between them
//! is the only place that looks at a flag, at the environment or at the working directory.

mod args;
mod cache_flags;
mod config;
mod context_flags;
mod contexts;
mod credential_flags;
mod lint_flags;
mod login_command;
mod mirror_flags;
mod run_flags;
mod secrets;
mod times;

/// What `executor version` prints, and what the marker file of the executor's own image holds.
pub const BUILD_ID: &str = concat!("kigumi ", env!("CARGO_PKG_VERSION"));

pub use args::{Args, BuildFlags, Command, parse};
pub use cache_flags::{CacheFlags, CachePlace, CacheSettings, Tamper, Trust};
pub use config::{
    Config, ConfigError, Environment, LogFormat, LogOptions, Outputs, PlatformSource,
    RegistryFlags, Verbosity,
};
pub(crate) use context_flags::default_context;
pub use context_flags::{ContextFlags, ContextSettings};
pub use contexts::{ContextFlag, ContextPlace};
pub use credential_flags::{CredentialFlags, CredentialHelper, CredentialSettings};
pub use lint_flags::{LintCommand, LintFlags, LintFormat, LintMode, LintSettings};
pub use login_command::LoginCommand;
pub use mirror_flags::{ClientCertificateFiles, MirrorFlags, MirrorSettings};
pub use run_flags::{ExtraHost, RunFlags, RunSettings};
pub use secrets::{SecretFlag, SecretFlagError, SecretSource, SshFlag};
pub use times::{TimeFlags, Times};
