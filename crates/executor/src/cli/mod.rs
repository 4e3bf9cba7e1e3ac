//! From what the user typed to what it means: [`Args`] are the words, [`Config`] is the meaning, and the conversion between them
//! is the only place that looks at a flag, at the environment or at the working directory.

mod args;
mod base_cache;
mod cache_flags;
mod cleanup_flags;
mod config;
mod context_flags;
mod contexts;
mod credential_flags;
mod features;
mod lint_flags;
mod log_flags;
mod login_command;
mod mirror_flags;
mod outputs;
mod push_command;
mod reference;
mod registry_flags;
mod remarks;
mod run_flags;
mod secrets;
mod shape_flags;
mod times;
mod usage;
mod variables;
mod warm_command;
mod warm_keys;

/// What `executor version` prints, and what the marker file of the executor's own image holds.
pub const BUILD_ID: &str = concat!("kigumi ", env!("CARGO_PKG_VERSION"));

pub use args::{Args, BuildFlags, Command, command, parse};
pub use base_cache::{BaseCacheFlags, BaseCacheSettings};
pub use cache_flags::{CacheFlags, CachePlace, CacheSettings, Tamper, Trust};
pub use cleanup_flags::{Cleanup, CleanupFlags};
pub use config::{Config, ConfigError, Environment, PlatformSource, RegistryFlags};
pub use context_flags::{ContextFlags, ContextSettings};
pub(crate) use context_flags::{DEFAULT_CONTEXT, context_below_root, default_context};
pub use contexts::{ContextFlag, ContextPlace};
pub use credential_flags::{CredentialFlags, CredentialHelper, CredentialSettings};
pub use lint_flags::{LintCommand, LintFlags, LintFormat, LintMode, LintSettings};
pub use log_flags::{LogFlags, LogFormat, LogOptions, Verbosity};
pub use login_command::LoginCommand;
pub use mirror_flags::{ClientCertificateFiles, MirrorFlags, MirrorSettings};
pub use outputs::{Outputs, Place};
pub use push_command::PushCommand;
pub use reference::page as reference_page;
pub use registry_flags::RegistryArgs;
pub use remarks::{Loudness, Remark};
pub use run_flags::{ExtraHost, RunFlags, RunSettings};
pub use secrets::{SecretFlag, SecretFlagError, SecretSource, SshFlag};
pub use shape_flags::{Shape, ShapeFlags};
pub use times::{TimeFlags, Times};
pub use usage::usage_error;
pub use warm_command::{WarmCommand, WarmSettings};
pub use warm_keys::WarmKeys;
