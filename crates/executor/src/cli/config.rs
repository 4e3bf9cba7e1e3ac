use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kigumi_context::DockerfilePlace;
use kigumi_oci::{Compression, ImageFormat, Platform, Reference, parse_reference};

use super::args::{BuildFlags, go_bool};
use super::base_cache::BaseCacheSettings;
use super::cache_flags::CacheSettings;
use super::cleanup_flags::Cleanup;
use super::context_flags::ContextSettings;
use super::contexts::{self, ContextFlag};
use super::credential_flags::CredentialSettings;
use super::lint_flags::LintSettings;
use super::mirror_flags::MirrorSettings;
use super::registry_flags::RegistryArgs;
use super::run_flags::RunSettings;
use super::secrets::{self, SecretFlag, SecretFlagError, SecretSource, SshFlag};
use super::times::Times;
use super::{Outputs, Remark, Shape, remarks};

/// What the flags, the environment and the working directory mean together.
#[derive(Debug, Clone)]
pub struct Config {
    /// Candidates for the Dockerfile, most preferred first (K-CLI-11).
    pub dockerfile: Vec<DockerfilePlace>,
    /// The build context.
    pub context: ContextSettings,
    /// `--build-arg`, in order.
    pub build_args: Vec<(String, String)>,
    /// The stage that becomes the image; `None` is the last.
    pub target: Option<String>,
    /// Stages that are built too.
    pub other_targets: Vec<String>,
    /// `--label`, in order.
    pub labels: Vec<(String, String)>,
    /// What to build for, in the order asked; never empty.
    pub platforms: Vec<Platform>,
    /// Who named them.
    pub platform_source: PlatformSource,
    /// `--build-context`, in order; of several with one name the last counts.
    pub contexts: Vec<ContextFlag>,
    /// `--secret`, in order; of two with one id the later counts.
    pub secrets: Vec<SecretFlag>,
    /// `--ssh`, in order; of two with one id the later counts.
    pub ssh: Vec<SshFlag>,
    /// Where to push; empty with `--no-push` and no names.
    pub destinations: Vec<Reference>,
    /// Whether to push at all.
    pub push: bool,
    /// Files to write.
    pub outputs: Outputs,
    /// Of new layers.
    pub compression: Compression,
    /// `None` is the default of the algorithm.
    pub compression_level: Option<i32>,
    /// `None` is that of the base image.
    pub image_format: Option<ImageFormat>,
    /// What is built, and whether anything is.
    pub shape: Shape,
    /// What was accepted and is to be spoken about.
    pub remarks: Vec<Remark>,
    /// Which time the image and its files bear.
    pub times: Times,
    /// How to speak to registries.
    pub registry: RegistryFlags,
    /// Which registries are asked, and as whom.
    pub mirrors: MirrorSettings,
    /// Where credentials of registries are looked for.
    pub credentials: CredentialSettings,
    /// Never unpacked to, never recorded.
    pub ignore_paths: Vec<PathBuf>,
    /// Directory of the executor and of its work files.
    pub kaniko_dir: PathBuf,
    /// Where the caches of RUN are kept beyond the pod: `--cache-mounts=registry`.
    pub mount_cache: Option<CacheSettings>,
    /// `--cache-mount-dir`.
    pub cache_mount_dir: Option<PathBuf>,
    /// What is not made twice; none without `--cache`.
    pub cache: Option<CacheSettings>,
    /// Base images that are fetched already; none without `--cache`.
    pub base_cache: Option<BaseCacheSettings>,
    /// What is left of a build.
    pub cleanup: Cleanup,
    /// What RUN may do and finds.
    pub run: RunSettings,
    /// What is told about the Dockerfile before it is built.
    pub lint: LintSettings,
    /// `--force`.
    pub force: bool,
    /// `--sandbox`.
    pub sandbox: bool,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "one field a flag, independent of each other"
)]
/// Registry flags, as they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryFlags {
    /// Push over plain HTTP.
    pub insecure_push: bool,
    /// Pull over plain HTTP.
    pub insecure_pull: bool,
    /// Hosts spoken to over plain HTTP.
    pub insecure_hosts: Vec<String>,
    /// No certificate is verified when pushing.
    pub skip_tls_verify_push: bool,
    /// No certificate is verified when pulling.
    pub skip_tls_verify_pull: bool,
    /// Hosts whose certificates are not verified.
    pub skip_tls_verify_hosts: Vec<String>,
    /// Certificate authorities by host.
    pub certificates: Vec<(String, PathBuf)>,
    /// Retries of a push.
    pub push_retry: u32,
    /// Retries of a download.
    pub download_retry: u32,
    /// Skip the early check of the permission to push.
    pub skip_push_permission_check: bool,
}

/// What the process was started with, read once.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Working directory.
    pub working_directory: PathBuf,
    /// Path of this program.
    pub executable: PathBuf,
    /// Whether the container ends with this program: it is the first process, or the child that the first process of ours serves.
    pub is_init: bool,
}

impl Environment {
    /// An environment of these variables, for tests.
    #[cfg(test)]
    pub(crate) fn of<'a>(
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        working_directory: &str,
    ) -> Self {
        let variables = variables.into_iter();
        Self {
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            working_directory: working_directory.into(),
            executable: "/kaniko/executor".into(),
            is_init: true,
        }
    }

    /// The same with `--kaniko-dir` taken into account: what points into the directory of the executable points into the new one,
    /// where that has it. Nothing is moved, so the old place is as good if the new one has nothing.
    #[must_use]
    pub fn rebased(&self, kaniko_dir: &Path, exists: impl Fn(&Path) -> bool) -> Self {
        let mut rebased = self.clone();
        let Some(old) = self.executable.parent().filter(|old| *old != kaniko_dir) else {
            return rebased;
        };
        let moved = |part: &str| {
            let rest = Path::new(part).strip_prefix(old).ok()?;
            let there = kaniko_dir.join(rest);
            let is_below = rest.components().next().is_some();
            (is_below && exists(&there)).then(|| there.to_string_lossy().into_owned())
        };
        for value in rebased.variables.values_mut() {
            let parts = value
                .split(':')
                .map(|part| moved(part).unwrap_or_else(|| part.to_owned()));
            *value = parts.collect::<Vec<_>>().join(":");
        }
        rebased
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.truth(name) == Some(true)
    }

    /// What a variable says about something that is or is not. An unparsable value counts as unset (contract § 6.1).
    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        go_bool(self.variables.get(name)?).ok()
    }
}

/// What is wrong with the command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A warmer without anything to fetch.
    #[error("no --image and no --dockerfile: say which base images to put into the cache")]
    NothingToWarm,
    /// Nowhere to push.
    #[error("no --destination: say where to push the image, or pass --no-push")]
    NoDestination,
    /// A destination that is no image reference.
    #[error("--destination `{text}` is not an image reference: {reason}")]
    Destination {
        /// As given.
        text: String,
        /// What the parser says.
        reason: String,
    },
    /// `key=value` without `=`.
    #[error("{flag} `{text}` has no `=`: expected {expected}")]
    MissingEquals {
        /// The flag.
        flag: &'static str,
        /// As given.
        text: String,
        /// The form.
        expected: &'static str,
    },
    /// A word that is not one of the choices.
    #[error("{flag} `{text}` is not one of {choices}")]
    Choice {
        /// The flag.
        flag: &'static str,
        /// As given.
        text: String,
        /// What would be right.
        choices: &'static str,
    },
    /// zstd in a format that has no name for it.
    #[error("--compression=zstd cannot be stored in {with}: use gzip, or an OCI image")]
    ZstdInDocker {
        /// The other flag.
        with: &'static str,
    },
    /// docker-save archives hold Docker images.
    #[error(
        "--tar-path writes a docker archive, which cannot hold --image-format=oci: use --oci-layout-path"
    )]
    TarOfOci,
    /// A flag about RUN whose value means nothing.
    #[error("{flag} `{text}`: {reason}")]
    RunFlag {
        /// The flag.
        flag: &'static str,
        /// As given.
        text: String,
        /// Why not.
        reason: String,
    },
    /// A flag about registries whose value means nothing.
    #[error("{flag} `{text}`: {reason}")]
    RegistryFlag {
        /// The flag or the variable.
        flag: &'static str,
        /// As given.
        text: String,
        /// Why not.
        reason: String,
    },
    /// A flag about the cache whose value means nothing.
    #[error("{flag} `{text}`: {reason}")]
    CacheFlag {
        /// The flag.
        flag: &'static str,
        /// As given.
        text: String,
        /// Why not.
        reason: String,
    },
    /// No name for the cache (contract § 2).
    #[error(
        "--cache has no repository: name it with --cache-repo, or give a --destination; with --no-push pass --no-push-cache as well to only read the cache of the destination"
    )]
    NoCacheRepo,
    /// Signatures that nobody can verify.
    #[error("{trust} needs a key: pass --cache-verify-key or --cache-sign-key")]
    CacheWithoutKeys {
        /// The flag.
        trust: &'static str,
    },
    /// Keys that nothing would be done with.
    #[error(
        "--cache-trust=off does not look at signatures, but there are keys; leave out one or the other"
    )]
    CacheKeysWithoutTrust,
    /// Entries that nobody would believe (supply-chain.md § 4.3).
    #[error(
        "--cache-mode=rw with --cache-trust=require needs --cache-sign-key: nobody would believe unsigned entries"
    )]
    CacheWithoutSignKey,
    /// A rule that does not exist.
    #[error("--lint-rule `{text}`: there is no such rule; docs/lint.md lists them")]
    UnknownRule {
        /// As given.
        text: String,
    },
    /// A file of names without names.
    #[error("{flag} needs a --destination: there is no name to write")]
    NameWithoutDestination {
        /// The flag.
        flag: &'static str,
    },
    /// A context that is none.
    #[error("--context: {reason}")]
    Context {
        /// Why not.
        reason: String,
    },
    /// A git context that cannot be fetched so.
    #[error("--git `{text}`: {reason}")]
    Git {
        /// As given.
        text: String,
        /// Why not.
        reason: String,
    },
    /// Two contexts.
    #[error(
        "--bucket `{bucket}` beside the directory `{context}` of --context: give --context=gs://{bucket} alone, or remove --bucket"
    )]
    Bucket {
        /// The directory.
        context: String,
        /// As given.
        bucket: String,
    },
    /// One root filesystem for several images.
    #[error("--materialize leaves one image on the root filesystem, and there are {count} {what}")]
    MaterializeSeveral {
        /// How many.
        count: usize,
        /// `platforms`, `targets`.
        what: &'static str,
    },
    /// A file that cannot be sent.
    #[error("{flag} `{text}`: only digests can be sent, and only to https:// URLs; name a file")]
    OutputUrl {
        /// The flag.
        flag: &'static str,
        /// As given.
        text: String,
    },
    /// docker-save archives hold one image.
    #[error(
        "--tar-path writes a docker archive, which cannot hold {count} platforms: use --oci-layout-path"
    )]
    TarOfPlatforms {
        /// How many.
        count: usize,
    },
    /// A named context that is none.
    #[error("--build-context `{name}`: {reason}")]
    BuildContext {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A secret or an agent that cannot be what it is said to be.
    #[error(transparent)]
    Secret(#[from] SecretFlagError),
    /// A platform that is none.
    #[error("--custom-platform `{text}`: {reason}")]
    Platform {
        /// As given.
        text: String,
        /// What the parser says.
        reason: String,
    },
}

impl Config {
    /// The directories that `--build-context` names.
    pub fn context_paths(&self) -> impl Iterator<Item = &Path> {
        self.contexts.iter().filter_map(ContextFlag::path)
    }

    /// The files and sockets that `--secret` and `--ssh` name, and the keys of the cache.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let files = self.secrets.iter().filter_map(|flag| match &flag.source {
            SecretSource::File(path) => Some(path),
            SecretSource::Environment(_) => None,
        });
        let agents = self.ssh.iter().flat_map(|flag| &flag.paths);
        let caches = self.cache.iter().chain(&self.mount_cache);
        let files = files.chain(agents).map(PathBuf::as_path);
        files.chain(caches.flat_map(CacheSettings::key_files))
    }

    /// What the flags mean in this environment. Reads nothing.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong, before anything is executed.
    pub fn new(flags: &BuildFlags, environment: &Environment) -> Result<Self, ConfigError> {
        let absolute = |path: &Path| environment.working_directory.join(path);
        let destinations = flags
            .destination
            .iter()
            .map(|text| destination(text))
            .collect::<Result<Vec<_>, _>>()?;
        let push = !flags
            .no_push
            .unwrap_or_else(|| environment.is_set("KANIKO_NO_PUSH"));
        if push && destinations.is_empty() {
            return Err(ConfigError::NoDestination);
        }
        let outputs = Outputs::new(flags, environment, &absolute)?;
        let compression = compression(flags)?;
        let image_format = image_format(flags)?;
        check_formats(compression, image_format, outputs.tar.is_some())?;
        let platforms = platforms(flags)?;
        if let (2.., Some(_)) = (platforms.len(), &outputs.tar) {
            return Err(ConfigError::TarOfPlatforms {
                count: platforms.len(),
            });
        }
        let pushed = (push, destinations.as_slice());
        let here = &environment.working_directory;
        let cache = CacheSettings::new(&flags.cache, pushed, here)?;
        let mount_cache = CacheSettings::for_mounts(&flags.cache, pushed, here)?;
        let mut build_args = build_args(flags, environment);
        let context = ContextSettings::new(flags, &build_args, environment)?;
        let dockerfile = context.dockerfiles(&flags.dockerfile, environment);
        snapshot_mode(flags.accepted.snapshot_mode.as_deref())?;
        let (target, other_targets) = first_and_others(targets(flags));
        let counts = (platforms.len(), other_targets.len() + 1);
        let times = Times::new(&flags.times, environment, &mut build_args);
        Ok(Self {
            dockerfile,
            build_args,
            times,
            target,
            other_targets,
            shape: Shape::new(&flags.shape, environment, counts)?,
            remarks: remarks::remarks(&flags.accepted, environment),
            labels: pairs("--label", "KEY=VALUE", &flags.label)?,
            platforms,
            platform_source: platform_source(flags),
            contexts: flags
                .build_context
                .iter()
                .map(|text| contexts::context(text, &environment.working_directory))
                .collect::<Result<_, _>>()?,
            secrets: secrets::secrets(&flags.secret, environment)?,
            ssh: secrets::ssh(&flags.ssh, environment)?,
            context,
            destinations,
            push,
            outputs,
            compression,
            compression_level: (flags.compression_level >= 0).then_some(flags.compression_level),
            image_format,
            registry: registry(&flags.registry, &absolute)?,
            mirrors: MirrorSettings::new(&flags.mirrors, environment)?,
            credentials: CredentialSettings::new(&flags.credentials)?,
            ignore_paths: flags.ignore_path.iter().map(PathBuf::from).collect(),
            kaniko_dir: kaniko_dir(flags, environment),
            mount_cache,
            cache_mount_dir: flags
                .cache
                .mount_directory(flags.cache_mount_dir.as_ref())?
                .map(|text| environment.working_directory.join(text)),
            base_cache: BaseCacheSettings::new(&flags.base_cache, cache.as_ref(), here),
            cache,
            cleanup: Cleanup::new(&flags.cleanup, environment, flags.shape.materialize),
            run: RunSettings::new(&flags.run)?,
            lint: LintSettings::new(&flags.lint)?,
            force: flags.force,
            sandbox: flags.sandbox,
        })
    }

    /// Where the caches of `RUN --mount=type=cache` are kept.
    pub fn cache_mounts(&self) -> PathBuf {
        let default = || self.kaniko_dir.join("cache-mounts");
        self.cache_mount_dir.clone().unwrap_or_else(default)
    }
}

fn destination(text: &str) -> Result<Reference, ConfigError> {
    parse_reference(text).map_err(|error| ConfigError::Destination {
        text: text.to_owned(),
        reason: error.to_string(),
    })
}

fn compression(flags: &BuildFlags) -> Result<Compression, ConfigError> {
    match flags.compression.as_str() {
        "gzip" | "" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        text => Err(ConfigError::Choice {
            flag: "--compression",
            text: text.to_owned(),
            choices: "gzip, zstd",
        }),
    }
}

fn image_format(flags: &BuildFlags) -> Result<Option<ImageFormat>, ConfigError> {
    match flags.image_format.as_str() {
        "" => Ok(None),
        "oci" => Ok(Some(ImageFormat::Oci)),
        "docker" => Ok(Some(ImageFormat::Docker)),
        text => Err(ConfigError::Choice {
            flag: "--image-format",
            text: text.to_owned(),
            choices: "oci, docker",
        }),
    }
}

fn check_formats(
    compression: Compression,
    format: Option<ImageFormat>,
    tar: bool,
) -> Result<(), ConfigError> {
    match (compression, format, tar) {
        (Compression::Zstd, Some(ImageFormat::Docker), _) => Err(ConfigError::ZstdInDocker {
            with: "--image-format=docker",
        }),
        (Compression::Zstd, _, true) => Err(ConfigError::ZstdInDocker { with: "--tar-path" }),
        (_, Some(ImageFormat::Oci), true) => Err(ConfigError::TarOfOci),
        _ => Ok(()),
    }
}

fn build_args(flags: &BuildFlags, environment: &Environment) -> Vec<(String, String)> {
    let value = |name: &str| environment.variables.get(name).cloned().unwrap_or_default();
    flags
        .build_arg
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text.clone(), value(text)),
        })
        .collect()
}

/// The stages to build, each once: case does not matter in their names (K-CLI-04).
fn targets(flags: &BuildFlags) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    let names = flags.target.iter().flat_map(|text| text.split(','));
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        if !targets.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            targets.push(name.to_owned());
        }
    }
    targets
}

fn first_and_others(targets: Vec<String>) -> (Option<String>, Vec<String>) {
    let mut targets = targets.into_iter();
    (targets.next(), targets.collect())
}

/// It changes nothing, but a word that means nothing is a mistake.
fn snapshot_mode(mode: Option<&str>) -> Result<(), ConfigError> {
    match mode {
        None | Some("full" | "redo" | "time" | "") => Ok(()),
        Some(text) => Err(ConfigError::Choice {
            flag: "--snapshot-mode",
            text: text.to_owned(),
            choices: "full, redo, time",
        }),
    }
}

/// Where the platforms of a build come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlatformSource {
    /// The user asked for them.
    Flag,
    /// It is that of the machine.
    Machine,
}

fn platform_source(flags: &BuildFlags) -> PlatformSource {
    match flags.custom_platform.as_deref() {
        None | Some("") => PlatformSource::Machine,
        Some(_) => PlatformSource::Flag,
    }
}

/// Those of a list, each once; that of the machine if there is none.
fn platforms(flags: &BuildFlags) -> Result<Vec<Platform>, ConfigError> {
    let text = flags.custom_platform.as_deref().unwrap_or_default();
    if text.is_empty() {
        return Ok(vec![Platform::host()]);
    }
    let mut platforms = Vec::new();
    for word in text.split(',') {
        let platform =
            word.trim()
                .parse()
                .map_err(|error: kigumi_oci::Error| ConfigError::Platform {
                    text: text.to_owned(),
                    reason: error.to_string(),
                })?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

/// `key=value`, at the first `=` (K-CLI-08).
pub(super) fn pairs(
    flag: &'static str,
    expected: &'static str,
    texts: &[String],
) -> Result<Vec<(String, String)>, ConfigError> {
    texts
        .iter()
        .map(|text| match text.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(ConfigError::MissingEquals {
                flag,
                text: text.clone(),
                expected,
            }),
        })
        .collect()
}

fn registry(
    flags: &RegistryArgs,
    absolute: &impl Fn(&Path) -> PathBuf,
) -> Result<RegistryFlags, ConfigError> {
    let certificates = pairs(
        "--registry-certificate",
        "HOST=FILE",
        &flags.registry_certificate,
    )?;
    Ok(RegistryFlags {
        insecure_push: flags.insecure,
        insecure_pull: flags.insecure_pull,
        insecure_hosts: flags.insecure_registry.clone(),
        skip_tls_verify_push: flags.skip_tls_verify,
        skip_tls_verify_pull: flags.skip_tls_verify || flags.skip_tls_verify_pull,
        skip_tls_verify_hosts: flags.skip_tls_verify_registry.clone(),
        certificates: certificates
            .into_iter()
            .map(|(host, file)| (host, absolute(Path::new(&file))))
            .collect(),
        push_retry: flags.push_retry,
        download_retry: flags.image_download_retry,
        skip_push_permission_check: flags.skip_push_permission_check,
    })
}

fn kaniko_dir(flags: &BuildFlags, environment: &Environment) -> PathBuf {
    let given = flags.kaniko_dir.clone();
    let variable = || environment.variables.get("KANIKO_DIR").cloned();
    let beside = || environment.executable.parent().map(Path::to_path_buf);
    let directory = given
        .filter(|text| !text.is_empty())
        .or_else(|| variable().filter(|text| !text.is_empty()))
        .map(PathBuf::from)
        .or_else(beside)
        .unwrap_or_else(|| PathBuf::from("/kaniko"));
    environment.working_directory.join(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Place, parse};

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment {
            variables: variables
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            working_directory: "/workspace".into(),
            executable: "/kaniko/executor".into(),
            is_init: false,
        }
    }

    fn config_in(environment: &Environment, words: &[&str]) -> Result<Config, ConfigError> {
        let args = parse(std::iter::once("executor").chain(words.iter().copied())).unwrap();
        Config::new(&args.build, environment)
    }

    fn config(words: &[&str]) -> Result<Config, ConfigError> {
        config_in(&environment(&[]), words)
    }

    #[test]
    fn relative_paths_start_at_the_working_directory_k_cli_10() {
        let config = config(&[
            "--no-push",
            "--tar-path=out/x.tar",
            "-c",
            "src",
            "--digest-file=/d",
        ])
        .unwrap();
        assert_eq!(config.context.directory(), Some("/workspace/src".into()));
        assert_eq!(config.outputs.tar, Some("/workspace/out/x.tar".into()));
        assert_eq!(config.outputs.digest, Some(Place::File("/d".into())));
    }

    #[test]
    fn the_dockerfile_is_looked_for_as_given_and_then_in_the_context_k_cli_11() {
        let config = config(&["--no-push", "-f", "a/Dockerfile", "-c", "dir:///src"]).unwrap();
        assert_eq!(
            config.dockerfile[..2],
            ["/workspace/a/Dockerfile", "/src/a/Dockerfile"]
                .map(|path| DockerfilePlace::Disk(path.into()))
        );
    }

    #[test]
    fn a_build_argument_without_value_comes_from_the_environment_k_cli_07() {
        let environment = environment(&[("A", "env")]);
        let config = config_in(
            &environment,
            &[
                "--no-push",
                "--build-arg=A",
                "--build-arg=B",
                "--build-arg=C=x=y",
            ],
        );
        let expected = [("A", "env"), ("B", ""), ("C", "x=y")];
        assert_eq!(
            config.unwrap().build_args,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn an_empty_target_is_the_last_stage_k_cli_05() {
        assert_eq!(config(&["--no-push", "--target", ""]).unwrap().target, None);
        assert_eq!(
            config(&["--no-push", "--target", "a"]).unwrap().target,
            Some("a".into())
        );
    }

    #[test]
    fn the_first_of_several_targets_is_the_image_k_cli_04() {
        let targets = |words: &[&str]| {
            let config = config(words).unwrap();
            (config.target.unwrap(), config.other_targets)
        };
        for words in [
            &["--no-push", "--target=b,a"][..],
            &["--no-push", "--target=b", "--target", "a"],
            &["--no-push", "--target=,b,B", "--target=a,b"],
        ] {
            assert_eq!(
                targets(words),
                ("b".to_owned(), vec!["a".to_owned()]),
                "{words:?}"
            );
        }
    }

    #[test]
    fn what_pointed_into_the_old_directory_points_into_the_new_one_if_it_is_there() {
        let variables = [
            ("DOCKER_CONFIG", "/kaniko/.docker/"),
            ("SSL_CERT_DIR", "/etc/ssl:/kaniko/ssl/certs"),
            ("PATH", "/usr/local/bin:/kaniko"),
            ("OTHER", "/kaniko/other:/kaniko2/.docker"),
        ];
        let environment = Environment::of(variables, "/workspace");
        let there = ["/k/.docker", "/k/ssl/certs", "/k"].map(Path::new);
        let rebased = environment.rebased(Path::new("/k"), |path| there.contains(&path));
        let expected = [
            ("DOCKER_CONFIG", "/k/.docker/"),
            ("SSL_CERT_DIR", "/etc/ssl:/k/ssl/certs"),
            ("PATH", "/usr/local/bin:/kaniko"),
            ("OTHER", "/kaniko/other:/kaniko2/.docker"),
        ];
        let expected = Environment::of(expected, "/workspace").variables;
        let docker_config = &rebased.variables["DOCKER_CONFIG"];
        assert_eq!(Path::new(docker_config), Path::new("/k/.docker"));
        for name in ["SSL_CERT_DIR", "PATH", "OTHER"] {
            assert_eq!(rebased.variables[name], expected[name]);
        }
    }

    #[test]
    fn the_sub_path_belongs_to_contexts_with_a_prefix() {
        let context = |words: &[&str]| config(words).unwrap().context.directory().unwrap();
        assert_eq!(
            context(&["--no-push", "-c", "dir:///src", "--context-sub-path", "a"]),
            PathBuf::from("/src/a")
        );
        assert_eq!(
            context(&["--no-push", "-c", "/src", "--context-sub-path", "a"]),
            PathBuf::from("/src")
        );
    }

    #[test]
    fn what_cannot_work_is_said_before_anything_runs() {
        let cases: &[(&[&str], &str)] = &[
            (&[], "no --destination"),
            (&["--no-push", "--cache"], "--cache-repo"),
            (&["-d", "r.test/UPPER"], "--destination `r.test/UPPER`"),
            (&["--no-push", "--label", "x"], "--label `x` has no `=`"),
            (&["--no-push", "--compression=lz4"], "gzip, zstd"),
            (
                &["--no-push", "--compression=zstd", "--tar-path=t"],
                "--tar-path",
            ),
            (
                &["--no-push", "--compression=zstd", "--image-format=docker"],
                "--image-format=docker",
            ),
            (
                &["--no-push", "--image-format=oci", "--tar-path=t"],
                "--oci-layout-path",
            ),
            (
                &["--no-push", "--image-name-with-digest-file=f"],
                "--image-name-with-digest-file",
            ),
            (&["--no-push", "-c", "swift://bucket/x"], "swift://"),
            (&["--no-push", "--snapshot-mode=fast"], "full, redo, time"),
            (&["--no-push", "--custom-platform=a/b/c/d"], "a/b/c/d"),
            (
                &["--no-push", "--platform=linux/amd64,arm64", "--tar-path=t"],
                "cannot hold 2 platforms",
            ),
            (&["--no-push", "--platform=linux/amd64,"], "linux/amd64,"),
            (
                &["--no-push", "--build-context=n=x://y"],
                "--build-context `n`",
            ),
        ];
        for (words, expected) in cases {
            let message = config(words).unwrap_err().to_string();
            assert!(message.contains(expected), "{words:?}: {message}");
        }
    }

    #[test]
    fn a_platform_that_is_listed_twice_is_built_once() {
        let platforms = |words: &[&str]| -> Vec<String> {
            let config = config(words).unwrap();
            config.platforms.iter().map(Platform::to_string).collect()
        };
        let list = "--platform=linux/arm64,linux/amd64, linux/aarch64";
        assert_eq!(
            platforms(&["--no-push", list]),
            ["linux/arm64", "linux/amd64"]
        );
        let host = Platform::host().to_string();
        assert_eq!(platforms(&["--no-push", "--custom-platform="]), [host]);
    }

    #[test]
    fn variables_stand_in_for_flags_and_nonsense_in_them_counts_as_unset() {
        let with = |value: &str| config_in(&environment(&[("KANIKO_NO_PUSH", value)]), &[]);
        assert!(!with("true").unwrap().push);
        assert_eq!(with("maybe").unwrap_err(), ConfigError::NoDestination);
        let pushed = config_in(
            &environment(&[("KANIKO_NO_PUSH", "1")]),
            &["--no-push=false", "-d", "r/x"],
        );
        assert!(pushed.unwrap().push);
    }

    #[test]
    fn the_executor_keeps_its_files_beside_itself_unless_told_otherwise() {
        assert_eq!(
            config(&["--no-push"]).unwrap().kaniko_dir,
            PathBuf::from("/kaniko")
        );
        let moved = environment(&[("KANIKO_DIR", "/k")]);
        assert_eq!(
            config_in(&moved, &["--no-push"]).unwrap().kaniko_dir,
            PathBuf::from("/k")
        );
        assert_eq!(
            config_in(&moved, &["--no-push", "--kaniko-dir=/l"])
                .unwrap()
                .kaniko_dir,
            PathBuf::from("/l")
        );
    }
}
