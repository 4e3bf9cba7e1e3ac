use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;

use super::RunFlags;
use super::base_cache::BaseCacheFlags;
use super::cache_flags::CacheFlags;
use super::cleanup_flags::CleanupFlags;
use super::context_flags::{ContextFlags, DEFAULT_CONTEXT};
use super::credential_flags::CredentialFlags;
use super::lint_flags::{LintCommand, LintFlags};
use super::log_flags::LogFlags;
use super::login_command::LoginCommand;
use super::mirror_flags::MirrorFlags;
use super::push_command::PushCommand;
use super::registry_flags::RegistryArgs;
use super::shape_flags::ShapeFlags;
use super::times::TimeFlags;

/// What the user typed.
#[derive(Debug, Parser)]
#[command(
    name = "executor",
    version,
    about = "Builds a container image inside the container it runs in",
    args_override_self = true,
    disable_help_subcommand = true,
    max_term_width = 120
)]
pub struct Args {
    /// What to do; building is the default.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to build.
    #[command(flatten)]
    pub build: BuildFlags,
}

/// What to do instead of building.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print what a build would do, and change nothing
    #[command(args_override_self = true)]
    Plan(Box<BuildFlags>),
    /// Say what is questionable about Dockerfiles, and build nothing
    Lint(Box<LintCommand>),
    /// Push an image that lies in a file: an archive of `docker save`, or an OCI layout
    #[command(args_override_self = true)]
    Push(Box<PushCommand>),
    /// Print completions for a shell
    Completions {
        /// Which
        shell: Shell,
    },
    /// Print this program's reference as Markdown
    #[command(hide = true)]
    Reference,
    /// Keep a user and password for a registry in a `config.json`
    Login(LoginCommand),
    /// Print the version
    Version,
}

/// The flags of a build, with the parsing rules of kaniko's command line (K-CLI).
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BuildFlags {
    /// Path of the Dockerfile, as given or below the context; or its URL
    #[arg(
        short = 'f',
        long,
        default_value = "Dockerfile",
        allow_hyphen_values = true,
        help_heading = "Input"
    )]
    pub dockerfile: String,
    /// The build context: a directory, an archive or a git repository
    ///
    /// `dir://PATH` or a path; an archive as `tar://FILE`, `tar://stdin`, `https://…`, `s3://BUCKET/KEY`, `gs://BUCKET/KEY` or
    /// `https://ACCOUNT.blob.core.windows.net/…`; a repository as `git://HOST/REPOSITORY[#REF[#COMMIT]]` or `https://….git[#REF[:DIRECTORY]]`.
    #[arg(
        short = 'c',
        long,
        default_value = DEFAULT_CONTEXT,
        allow_hyphen_values = true,
        help_heading = "Input"
    )]
    pub context: String,
    /// Directory inside the context to use as the context (applies to contexts with a prefix)
    #[arg(
        long,
        value_name = "PATH",
        default_value = "",
        allow_hyphen_values = true,
        help_heading = "Input"
    )]
    pub context_sub_path: String,
    /// How the build context is fetched.
    #[command(flatten)]
    pub context_flags: ContextFlags,
    /// Named context, repeatable: a directory, a URL of http, https or git, `docker-image://IMAGE`, `oci-layout://DIRECTORY[:TAG|@DIGEST]`
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Input")]
    pub build_context: Vec<String>,
    /// Value of a build argument; without `=`, taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Input")]
    pub build_arg: Vec<String>,
    /// Stages to build, with commas between them or repeatable: the first one is the image, the others are built too; the last stage if absent or empty
    #[arg(long, action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Input")]
    pub target: Vec<String>,
    /// Label of the image
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Input")]
    pub label: Vec<String>,
    /// Secret for RUN --mount=type=secret, repeatable
    #[arg(long, value_name = "id=ID[,src=FILE|,env=VARIABLE][,type=file|env]", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Input")]
    pub secret: Vec<String>,
    /// Agent socket or private keys for RUN --mount=type=ssh, repeatable
    #[arg(long, value_name = "default|ID[=SOCKET|KEY[,KEY]]", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Input")]
    pub ssh: Vec<String>,
    /// Platform to build for, such as linux/arm64; several, with commas between them, become an index
    #[arg(
        long,
        alias = "customPlatform",
        visible_alias = "platform",
        value_name = "PLATFORM",
        allow_hyphen_values = true,
        help_heading = "Input"
    )]
    pub custom_platform: Option<String>,

    /// Where to push, repeatable
    #[arg(short = 'd', long, value_name = "IMAGE", action = ArgAction::Append, allow_hyphen_values = true, help_heading = "Output")]
    pub destination: Vec<String>,
    /// Build and do not push; `KANIKO_NO_PUSH` says the same
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Output")]
    pub no_push: Option<bool>,
    /// Write a docker-save archive
    #[arg(
        long,
        alias = "tarPath",
        value_name = "FILE",
        default_value = "",
        help_heading = "Output"
    )]
    pub tar_path: String,
    /// Write an OCI image layout
    #[arg(
        long,
        value_name = "DIRECTORY",
        default_value = "",
        help_heading = "Output"
    )]
    pub oci_layout_path: String,
    /// Write the digest of the image
    #[arg(long, value_name = "FILE", default_value = "", help_heading = "Output")]
    pub digest_file: String,
    /// Write repository@digest of every destination
    #[arg(long, value_name = "FILE", default_value = "", help_heading = "Output")]
    pub image_name_with_digest_file: String,
    /// Write repository:tag@digest of every destination
    #[arg(long, value_name = "FILE", default_value = "", help_heading = "Output")]
    pub image_name_tag_with_digest_file: String,
    /// Compression of new layers: gzip or zstd
    #[arg(long, default_value = "gzip", help_heading = "Output")]
    pub compression: String,
    /// Compression level: 0 to 9 for gzip, 1 to 19 for zstd; -1 is the default, 3 for both
    #[arg(long, default_value_t = -1, allow_hyphen_values = true, help_heading = "Output")]
    pub compression_level: i32,
    /// Manifest format: oci or docker; that of the base image if absent
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "",
        help_heading = "Output"
    )]
    pub image_format: String,
    /// What is built, and whether anything is.
    #[command(flatten)]
    pub shape: ShapeFlags,
    /// Which time the image and its files bear.
    #[command(flatten)]
    pub times: TimeFlags,

    /// How to speak to registries.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Where credentials are looked for.
    #[command(flatten)]
    pub credentials: CredentialFlags,

    /// Path that is neither unpacked nor recorded, repeatable
    #[arg(long, value_name = "PATH", action = ArgAction::Append, help_heading = "Root filesystem")]
    pub ignore_path: Vec<String>,
    /// Directory of the executor; `KANIKO_DIR` says the same
    #[arg(long, value_name = "DIRECTORY", help_heading = "Root filesystem")]
    pub kaniko_dir: Option<String>,
    /// Directory that the caches of RUN --mount=type=cache are kept in; a volume keeps them for the next build [default: cache-mounts in the executor's directory]
    #[arg(long, value_name = "DIRECTORY", help_heading = "Root filesystem")]
    pub cache_mount_dir: Option<String>,
    /// Build although nothing shows that this is a container; never enough on a host
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Root filesystem")]
    pub force: bool,
    /// Build on a workstation, in a private root of its own
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Root filesystem")]
    pub sandbox: bool,
    /// What is left of a build.
    #[command(flatten)]
    pub cleanup: CleanupFlags,

    /// Which registries are asked, and as whom.
    #[command(flatten)]
    pub mirrors: MirrorFlags,

    /// What is not made twice.
    #[command(flatten)]
    pub cache: CacheFlags,
    /// Base images that are fetched already.
    #[command(flatten)]
    pub base_cache: BaseCacheFlags,
    /// What RUN may do and finds.
    #[command(flatten)]
    pub run: RunFlags,
    /// What is told about the Dockerfile before it is built.
    #[command(flatten)]
    pub lint: LintFlags,

    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogFlags,

    /// Accepted for kaniko's sake: what they ask for always holds, or means nothing here.
    #[command(flatten)]
    pub accepted: AcceptedFlags,
}

/// Flags of kaniko that ask for what kigumi always does, or for nothing that exists here (K-DROP-03).
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Accepted, without effect")]
pub struct AcceptedFlags {
    /// Snapshots are always exact
    #[arg(long, alias = "snapshotMode", hide = true, allow_hyphen_values = true)]
    pub snapshot_mode: Option<String>,
    /// Snapshots are always exact
    #[arg(long, hide = true, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub use_new_run: Option<bool>,
    /// Layers are never held in memory
    #[arg(long, hide = true, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub compressed_caching: Option<bool>,
    /// Only mount points below /var/run are left out
    #[arg(long, alias = "whitelist-var-run", hide = true, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ignore_var_run: Option<bool>,
    /// Deprecated by kaniko
    #[arg(long, hide = true, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub force_build_metadata: Option<bool>,
    /// Unused stages are always skipped
    #[arg(long, hide = true, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub skip_unused_stages: Option<bool>,
    /// Downloads are retried as they are
    #[arg(long, hide = true)]
    pub image_fs_extract_retry: Option<u32>,
    /// Azure's own variables are read
    #[arg(long, hide = true, value_name = "FILE", allow_hyphen_values = true)]
    pub azure_container_registry_config: Option<String>,
}

impl AcceptedFlags {
    /// Those that were given, and why they change nothing.
    pub(super) fn given(&self) -> Vec<(&'static str, &'static str)> {
        let flags = [
            (
                "--snapshot-mode",
                self.snapshot_mode.is_some(),
                "snapshots are always exact",
            ),
            (
                "--use-new-run",
                self.use_new_run.is_some(),
                "snapshots are always exact",
            ),
            (
                "--compressed-caching",
                self.compressed_caching.is_some(),
                "layers are never held in memory",
            ),
            (
                "--ignore-var-run",
                self.ignore_var_run.is_some(),
                "mount points below /var/run are never recorded, all else is",
            ),
            (
                "--force-build-metadata",
                self.force_build_metadata.is_some(),
                "kaniko has deprecated it",
            ),
            (
                "--skip-unused-stages",
                self.skip_unused_stages.is_some(),
                "stages that nobody needs are always skipped",
            ),
            (
                "--image-fs-extract-retry",
                self.image_fs_extract_retry.is_some(),
                "downloads are retried as they are",
            ),
            (
                "--azure-container-registry-config",
                self.azure_container_registry_config.is_some(),
                "Azure's own variables are read",
            ),
        ];
        let given = flags.into_iter().filter(|(_, given, _)| *given);
        given.map(|(flag, _, why)| (flag, why)).collect()
    }
}

/// The words Go's `strconv.ParseBool` knows (K-CLI-02).
pub(super) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// Reads the command line.
///
/// # Errors
/// What clap says: usage errors, and the texts of `--help` and `--version`.
pub fn parse<I, T>(words: I) -> Result<Args, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let matches = command().try_get_matches_from(words)?;
    Args::from_arg_matches(&matches)
}

/// The command line as clap knows it, completed by what holds for all flags.
pub fn command() -> clap::Command {
    as_pflag(Args::command()).mut_subcommands(as_pflag)
}

/// COMPAT(kaniko): the word behind a flag that takes a value is its value, whatever it begins with (K-CLI-01).
pub(super) fn as_pflag(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| {
        if !is_flag(&argument) {
            return argument;
        }
        if takes_one_value(&argument) {
            let defaults = argument.get_default_values();
            let nothing = defaults.iter().all(|value| value.is_empty());
            argument
                .hide_default_value(nothing)
                .allow_hyphen_values(true)
        } else if argument.get_num_args().is_some() {
            argument.value_name("BOOL")
        } else {
            argument
        }
    })
}

fn is_flag(argument: &Arg) -> bool {
    argument.get_long().is_some() || argument.get_short().is_some()
}

/// Booleans take their value behind an equals sign only, and others take none.
fn takes_one_value(argument: &Arg) -> bool {
    let takes = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    takes
        && argument
            .get_num_args()
            .is_none_or(|count| count.min_values() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(words: &[&str]) -> BuildFlags {
        parse(std::iter::once("executor").chain(words.iter().copied()))
            .unwrap()
            .build
    }

    #[test]
    fn values_may_stand_apart_or_behind_an_equals_sign_k_cli_01() {
        for words in [
            &["--dockerfile", "D", "-d", "a", "-c", "x"][..],
            &["--dockerfile=D", "-d=a", "-cx"],
            &["-f", "D", "-da", "-c=x"],
            &["-f=D", "--destination=a", "--context", "x"],
        ] {
            let flags = flags(words);
            assert_eq!(
                (flags.dockerfile.as_str(), flags.context.as_str()),
                ("D", "x"),
                "{words:?}"
            );
            assert_eq!(flags.destination, ["a"]);
        }
    }

    #[test]
    fn booleans_take_a_value_only_behind_an_equals_sign_k_cli_02() {
        assert_eq!(flags(&["--no-push"]).no_push, Some(true));
        for (word, expected) in [
            ("1", true),
            ("T", true),
            ("True", true),
            ("0", false),
            ("FALSE", false),
        ] {
            assert_eq!(
                flags(&[&format!("--no-push={word}")]).no_push,
                Some(expected),
                "{word}"
            );
        }
        for words in [
            &["executor", "--no-push", "true"][..],
            &["executor", "--no-push=yes"],
        ] {
            parse(words).unwrap_err();
        }
    }

    #[test]
    fn unknown_flags_are_errors_k_cli_03() {
        let error = parse(["executor", "--destinatoin=x"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--destinatoin") && error.contains("--destination"),
            "{error}"
        );
    }

    #[test]
    fn repeatable_flags_are_not_split_at_commas_k_cli_04() {
        assert_eq!(
            flags(&["--build-arg=A=1,2", "--build-arg", "B"]).build_arg,
            ["A=1,2", "B"]
        );
    }

    #[test]
    fn empty_values_and_values_with_hyphens_are_values_k_cli_05() {
        let flags = flags(&["--target", "", "--build-arg", "-x", "--context-sub-path="]);
        assert_eq!(flags.target, [""]);
        assert_eq!(flags.build_arg, ["-x"]);
    }

    #[test]
    fn of_a_flag_given_twice_the_last_one_counts() {
        assert_eq!(flags(&["-f", "a", "-f", "b"]).dockerfile, "b");
        assert_eq!(
            flags(&["--no-push", "--no-push=false"]).no_push,
            Some(false)
        );
    }

    #[test]
    fn deprecated_spellings_keep_working_k_cli_13() {
        let flags = flags(&[
            "--tarPath=t",
            "--snapshotMode=redo",
            "--customPlatform=linux/arm64",
            "--whitelist-var-run",
            "--force-build-metadata",
            "--skip-unused-stages",
            "--use-new-run",
            "--compressed-caching=false",
        ]);
        assert_eq!(flags.tar_path, "t");
        assert_eq!(flags.custom_platform.as_deref(), Some("linux/arm64"));
    }
}
