//! Flags about registries, which every subcommand that speaks to one has.

use clap::ArgAction;

use super::args::go_bool;

#[expect(
    clippy::struct_excessive_bools,
    reason = "one field a flag; what they mean together is `RegistryFlags`"
)]
/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RegistryArgs {
    /// Push over plain HTTP
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Registry")]
    pub insecure: bool,
    /// Pull over plain HTTP
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Registry")]
    pub insecure_pull: bool,
    /// Registry spoken to over plain HTTP, repeatable
    #[arg(long, value_name = "HOST", action = ArgAction::Append, help_heading = "Registry")]
    pub insecure_registry: Vec<String>,
    /// Do not verify certificates when pushing and pulling
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Registry")]
    pub skip_tls_verify: bool,
    /// Do not verify certificates when pulling
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Registry")]
    pub skip_tls_verify_pull: bool,
    /// Registry whose certificate is not verified, repeatable
    #[arg(long, value_name = "HOST", action = ArgAction::Append, help_heading = "Registry")]
    pub skip_tls_verify_registry: Vec<String>,
    /// Certificate authority of one registry, repeatable
    #[arg(long, value_name = "HOST=FILE", action = ArgAction::Append, help_heading = "Registry")]
    pub registry_certificate: Vec<String>,
    /// Retries of a failed push; at least this many
    #[arg(long, default_value_t = 0, help_heading = "Registry")]
    pub push_retry: u32,
    /// Retries of a failed download; at least this many
    #[arg(long, default_value_t = 0, help_heading = "Registry")]
    pub image_download_retry: u32,
    /// Do not ask the registry for permission to push before the build starts
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Registry")]
    pub skip_push_permission_check: bool,
}
