//! `warmer`: a program of its own, with flags of its own (kaniko-contract §5, K-WARM-01).

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser};

use super::args::{as_pflag, go_bool, parse};
use super::base_cache::DEFAULT_DIRECTORY;
use super::cache_flags::{go_duration, wrong};
use super::{
    BuildFlags, CacheSettings, Config, ConfigError, Environment, LogFlags, MirrorFlags,
    RegistryArgs, WarmKeys,
};

/// As typed.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "warmer",
    version,
    about = "Puts base images into a directory, where builds with --cache-dir find them",
    args_override_self = true,
    max_term_width = 120
)]
pub struct WarmCommand {
    /// Image to put into the cache, repeatable
    #[arg(short = 'i', long, value_name = "IMAGE", action = ArgAction::Append)]
    pub image: Vec<String>,
    /// Dockerfile whose base images are put into the cache
    #[arg(short = 'd', long, value_name = "FILE", default_value = "")]
    pub dockerfile: String,
    /// Value of a build argument in the FROM lines, repeatable; without `=`, taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]", action = ArgAction::Append)]
    pub build_arg: Vec<String>,
    /// Directory of the cache
    #[arg(short = 'c', long, value_name = "DIRECTORY", default_value = DEFAULT_DIRECTORY)]
    pub cache_dir: String,
    /// Fetch images that are in the cache again
    #[arg(short = 'f', long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub force: bool,
    /// How long an image in the cache is of use
    #[arg(long, value_name = "DURATION", default_value = "336h")]
    pub cache_ttl: String,
    /// Platform of the images, such as linux/arm64; several with commas between them [default: that of this machine]
    #[arg(long = "customPlatform", value_name = "PLATFORM")]
    pub custom_platform: Option<String>,
    /// Who says what is in the layers.
    #[command(flatten)]
    pub keys: WarmKeys,
    /// Which registries are asked, and how.
    #[command(flatten)]
    pub pull: PullFlags,
    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogFlags,
}

/// The flags about registries of a program that never pushes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Registry")]
pub struct PullFlags {
    /// Pull over plain HTTP
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub insecure_pull: bool,
    /// Do not verify certificates
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub skip_tls_verify_pull: bool,
    /// Registry spoken to over plain HTTP, repeatable
    #[arg(long, value_name = "HOST", action = ArgAction::Append)]
    pub insecure_registry: Vec<String>,
    /// Registry whose certificate is not verified, repeatable
    #[arg(long, value_name = "HOST", action = ArgAction::Append)]
    pub skip_tls_verify_registry: Vec<String>,
    /// Certificate authority of one registry, repeatable
    #[arg(long, value_name = "HOST=FILE", action = ArgAction::Append)]
    pub registry_certificate: Vec<String>,
    /// Client certificate and key for one registry, repeatable
    #[arg(long, value_name = "HOST=CERTIFICATE,KEY", action = ArgAction::Append)]
    pub registry_client_cert: Vec<String>,
    /// Registry that is asked in the place of another, repeatable; `KANIKO_REGISTRY_MAP` adds some
    #[arg(long, value_name = "FROM=TO[;FROM=TO...]", action = ArgAction::Append)]
    pub registry_map: Vec<String>,
    /// Mirror of Docker Hub, repeatable: asked in order, then Docker Hub itself
    #[arg(long, value_name = "HOST[:PORT][/PATH]", action = ArgAction::Append)]
    pub registry_mirror: Vec<String>,
    /// Ask only the mirrors of a registry that has some
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub skip_default_registry_fallback: bool,
}

/// What they mean.
#[derive(Debug, Clone)]
pub struct WarmSettings {
    /// `--image`, in order, as given.
    pub images: Vec<String>,
    /// `--dockerfile`
    pub dockerfile: Option<PathBuf>,
    /// `--cache-dir`
    pub directory: PathBuf,
    /// `--cache-ttl`
    pub ttl: Duration,
    /// `--force`
    pub force: bool,
    /// How what is known of the layers is written beside them.
    pub outlines: CacheSettings,
    /// What is the same as for a build: registries, credentials, platforms and build arguments.
    pub config: Config,
}

impl WarmCommand {
    /// Reads the command line.
    ///
    /// # Errors
    /// What clap says: usage errors, and the texts of `--help` and `--version`.
    pub fn read<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let matches = Self::usage().try_get_matches_from(words)?;
        Self::from_arg_matches(&matches)
    }

    /// The command line as clap knows it.
    pub fn usage() -> clap::Command {
        as_pflag(Self::command())
    }

    /// What the flags mean in this environment. Reads nothing.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn settings(&self, environment: &Environment) -> Result<WarmSettings, ConfigError> {
        let ttl = go_duration(&self.cache_ttl).map_err(wrong("--cache-ttl", &self.cache_ttl))?;
        let given = |text: &&String| !text.is_empty();
        let images: Vec<String> = self.image.iter().filter(given).cloned().collect();
        if images.is_empty() && self.dockerfile.is_empty() {
            return Err(ConfigError::NothingToWarm);
        }
        if self.dockerfile.contains("://") {
            let reason = "the warmer reads files only; download it first".to_owned();
            return Err(wrong("--dockerfile", &self.dockerfile)(reason));
        }
        if self.cache_dir.is_empty() {
            return Err(wrong("--cache-dir", "")("expected a directory".to_owned()));
        }
        let here = &environment.working_directory;
        let dockerfile = Some(&self.dockerfile).filter(given);
        // COMPAT(kaniko): the warmer knows the variable with maps, and not the one with mirrors.
        let mut without_mirror = environment.clone();
        without_mirror.variables.remove("KANIKO_REGISTRY_MIRROR");
        let directory = here.join(&self.cache_dir);
        Ok(WarmSettings {
            outlines: self.keys.settings(ttl, (&directory, here))?,
            images,
            dockerfile: dockerfile.map(|path| here.join(path)),
            directory,
            ttl,
            force: self.force,
            config: Config::new(&self.as_build(), &without_mirror)?,
        })
    }

    /// The flags of a build that asks the same registries in the same way.
    fn as_build(&self) -> BuildFlags {
        let pull = self.pull.clone();
        // The defaults of a build are no error.
        let defaults =
            parse(["executor"]).map_or_else(|_| BuildFlags::default(), |args| args.build);
        BuildFlags {
            no_push: Some(true),
            build_arg: self.build_arg.clone(),
            custom_platform: self.custom_platform.clone(),
            registry: RegistryArgs {
                insecure_pull: pull.insecure_pull,
                insecure_registry: pull.insecure_registry,
                skip_tls_verify_pull: pull.skip_tls_verify_pull,
                skip_tls_verify_registry: pull.skip_tls_verify_registry,
                registry_certificate: pull.registry_certificate,
                ..defaults.registry
            },
            mirrors: MirrorFlags {
                registry_mirror: pull.registry_mirror,
                registry_map: pull.registry_map,
                skip_default_registry_fallback: pull.skip_default_registry_fallback,
                registry_client_cert: pull.registry_client_cert,
                ..defaults.mirrors
            },
            log: self.log.clone(),
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(words: &[&str]) -> Result<WarmSettings, ConfigError> {
        let command = WarmCommand::read(std::iter::once(&"warmer").chain(words)).unwrap();
        let variables = [("KANIKO_REGISTRY_MIRROR", "mirror.test"), ("A", "b")];
        command.settings(&Environment::of(variables, "/here"))
    }

    #[test]
    fn short_flags_are_not_those_of_the_executor_k_warm_01() {
        let short = settings(&["-i", "a", "-i=b", "-d", "D", "-c", "x", "-f"]).unwrap();
        assert_eq!(short.images, ["a", "b"]);
        assert_eq!(short.dockerfile, Some("/here/D".into()));
        assert_eq!(short.directory, PathBuf::from("/here/x"));
        assert!(short.force);
    }

    #[test]
    fn what_is_not_said_is_as_in_kaniko_k_warm_01() {
        let settings = settings(&["--image=a", "--build-arg=A"]).unwrap();
        assert_eq!(settings.directory, PathBuf::from("/cache"));
        assert_eq!(settings.ttl, Duration::from_hours(336));
        assert!(!settings.force && settings.dockerfile.is_none());
        assert_eq!(settings.config.build_args, [("A".into(), "b".into())]);
    }

    #[test]
    fn mirrors_come_from_flags_only() {
        let none = settings(&["-i=a"]).unwrap().config.mirrors;
        let one = settings(&["-i=a", "--registry-mirror=m.test"]).unwrap();
        assert_eq!(none, super::super::MirrorSettings::default());
        assert_ne!(one.config.mirrors, none);
    }

    #[test]
    fn flags_of_the_executor_that_would_mean_nothing_are_refused() {
        for word in [
            "--destination=x",
            "--insecure",
            "--custom-platform=a",
            "--push-retry=1",
        ] {
            WarmCommand::read(["warmer", "-i=a", word]).unwrap_err();
        }
        WarmCommand::read(["warmer", "-i=a", "--customPlatform=linux/arm64"]).unwrap();
    }

    #[test]
    fn what_cannot_work_is_said_before_anything_is_fetched() {
        for (words, said) in [
            (&[][..], "no --image"),
            (&["-i="], "no --image"),
            (&["-i=a", "--cache-ttl=x"], "--cache-ttl `x`"),
            (&["-i=a", "-c="], "--cache-dir"),
            (&["-d=https://h.test/D"], "download it first"),
            (&["-i=a", "--customPlatform=x/y/z/w"], "latform"),
        ] {
            let error = settings(words).unwrap_err().to_string();
            assert!(error.contains(said), "{words:?}: {error}");
        }
    }
}
