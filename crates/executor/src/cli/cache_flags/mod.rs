//! Flags of the layer cache: kaniko's, and those about who may write what is believed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use clap::ArgAction;
use kigumi_oci::{Reference, parse_reference};

use super::ConfigError;
use super::args::go_bool;

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CacheFlags {
    /// Take layers from the cache instead of making them again, and keep new ones there
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Cache")]
    pub cache: Option<bool>,
    /// Repository of the cache, or `oci:DIRECTORY`; repeatable, the first that has an entry counts [default: cache in the repository of the first destination]
    #[arg(long, value_name = "REPOSITORY", action = ArgAction::Append, help_heading = "Cache")]
    pub cache_repo: Vec<String>,
    /// How long an entry is of use
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "336h",
        help_heading = "Cache"
    )]
    pub cache_ttl: String,
    /// Keep the layers of COPY and ADD too
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Cache")]
    pub cache_copy_layers: Option<bool>,
    /// Keep the layers of RUN (default)
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Cache")]
    pub cache_run_layers: Option<bool>,
    /// Only read the cache
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Cache")]
    pub no_push_cache: Option<bool>,
    /// Which entries are believed: require (signed ones), prefer (signed ones, else unsigned ones), off (all) [default: require with a key, else off]
    #[arg(long, value_name = "TRUST", help_heading = "Cache")]
    pub cache_trust: Option<String>,
    /// What the cache is for: ro, rw, off [default: rw; ro where entries must be signed and there is no key to sign]
    #[arg(long, value_name = "MODE", help_heading = "Cache")]
    pub cache_mode: Option<String>,
    /// Secret key that new entries are signed with: NAME:BASE64
    #[arg(long, value_name = "FILE", help_heading = "Cache")]
    pub cache_sign_key: Option<String>,
    /// Public key that entries are verified with, repeatable: NAME:BASE64
    #[arg(long, value_name = "FILE", action = ArgAction::Append, help_heading = "Cache")]
    pub cache_verify_key: Vec<String>,
    /// Name of the domain whose entries are used; those of others are not
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        help_heading = "Cache"
    )]
    pub cache_domain: String,
    /// Entries made before this time are not used (RFC 3339, or seconds since 1970)
    #[arg(long, value_name = "TIME", help_heading = "Cache")]
    pub cache_not_before: Option<String>,
    /// Where the caches of RUN --mount=type=cache are kept beyond the pod: registry (in the cache repository), DIRECTORY, off
    #[arg(long, value_name = "registry|DIRECTORY|off", help_heading = "Cache")]
    pub cache_mounts: Option<String>,
    /// What a forged entry does: fail (the build), miss
    #[arg(long, value_name = "ACTION", help_heading = "Cache")]
    pub cache_tamper: Option<String>,
}

/// What they mean. Absent from the configuration when there is no cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Where it is, and what counts if several places have an entry.
    pub place: CachePlace,
    /// Where else it is, in the order in which that counts. Each place once.
    pub more: Vec<CachePlace>,
    /// Whether new entries are written.
    pub writes: bool,
    /// `--cache-ttl`
    pub ttl: Duration,
    /// `--cache-copy-layers`: whether COPY and ADD are looked up and kept.
    pub copy_layers: bool,
    /// `--cache-run-layers`: whether RUN and WORKDIR are.
    pub run_layers: bool,
    /// `--cache-trust`
    pub trust: Trust,
    /// `--cache-sign-key`
    pub sign_key: Option<PathBuf>,
    /// `--cache-verify-key`, in order.
    pub verify_keys: Vec<PathBuf>,
    /// `--cache-domain`
    pub domain: String,
    /// `--cache-not-before`, in seconds since 1970.
    pub not_before: Option<i64>,
    /// `--cache-tamper`
    pub tamper: Tamper,
}

/// Where a cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachePlace {
    /// In a repository: a tag an entry.
    Repository(Box<Reference>),
    /// Below a directory: a layout an entry.
    Directory(PathBuf),
}

/// Which entries are believed (supply-chain.md § 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Signed ones.
    Require,
    /// Signed ones; where there is none, an unsigned one.
    Prefer,
    /// All: signatures are neither looked at nor looked for.
    Off,
}

/// What happens when an entry is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tamper {
    /// The build ends.
    Fail,
    /// The entry is not used.
    #[default]
    Miss,
}

impl CacheFlags {
    /// The directory that the caches of RUN are kept in: `--cache-mounts=DIRECTORY` is another name of `--cache-mount-dir`.
    ///
    /// # Errors
    /// When both name one.
    pub fn mount_directory(&self, other: Option<&String>) -> Result<Option<String>, ConfigError> {
        let given = self.cache_mounts.as_ref();
        let named = given.filter(|text| !["registry", "off", ""].contains(&text.as_str()));
        let other = other.filter(|text| !text.is_empty());
        match (named, other) {
            (Some(named), Some(other)) if named != other => {
                let reason = format!("--cache-mount-dir names another directory, `{other}`");
                Err(wrong("--cache-mounts", named)(reason))
            }
            (named, other) => Ok(named.or(other).cloned()),
        }
    }

    /// Whether a cache is asked for.
    pub fn asks_for_cache(&self) -> bool {
        self.cache == Some(true) && self.cache_mode.as_deref() != Some("off")
    }
}

impl CacheSettings {
    /// What the flags mean; none without a cache.
    ///
    /// # Errors
    /// [`ConfigError`] for the first value that means nothing, also without `--cache`.
    pub fn new(
        flags: &CacheFlags,
        destinations: (bool, &[Reference]),
        working_directory: &Path,
    ) -> Result<Option<Self>, ConfigError> {
        let asks = flags.asks_for_cache();
        Self::if_asked(asks, flags, destinations, working_directory)
    }

    /// Where the caches of RUN are kept, in the places of the cache, with or without `--cache`; none if they are not.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn for_mounts(
        flags: &CacheFlags,
        destinations: (bool, &[Reference]),
        working_directory: &Path,
    ) -> Result<Option<Self>, ConfigError> {
        let is_off = flags.cache_mode.as_deref() == Some("off");
        let asks = flags.cache_mounts.as_deref() == Some("registry") && !is_off;
        let settings = Self::if_asked(asks, flags, destinations, working_directory)?;
        // Layers of a directory are kept once: a place that has the later ones and not the first is of no use.
        Ok(settings.map(|settings| Self {
            more: Vec::new(),
            ..settings
        }))
    }

    fn if_asked(
        asks: bool,
        flags: &CacheFlags,
        (push, destinations): (bool, &[Reference]),
        working_directory: &Path,
    ) -> Result<Option<Self>, ConfigError> {
        let ttl = go_duration(&flags.cache_ttl).map_err(wrong("--cache-ttl", &flags.cache_ttl))?;
        let trust = trust(flags)?;
        let mode = mode(flags)?;
        let tamper = tamper(flags)?;
        let not_before = flags.cache_not_before.as_deref().map(time).transpose()?;
        let domain = domain(&flags.cache_domain)?;
        if !asks {
            return Ok(None);
        }
        let only_reads = flags.no_push_cache == Some(true);
        let file = |text: &String| working_directory.join(text);
        let given = |text: &&String| !text.is_empty();
        let sign_key = flags.cache_sign_key.as_ref().filter(given).map(file);
        let verify_keys: Vec<PathBuf> = flags.cache_verify_key.iter().map(file).collect();
        let has_keys = sign_key.is_some() || !verify_keys.is_empty();
        let trust = trust.unwrap_or(if has_keys { Trust::Require } else { Trust::Off });
        check_keys(trust, has_keys)?;
        let signs_if_it_must = trust != Trust::Require || sign_key.is_some();
        if mode == Some(Mode::ReadWrite) && !only_reads && !signs_if_it_must {
            return Err(ConfigError::CacheWithoutSignKey);
        }
        let writes = mode != Some(Mode::Read) && !only_reads && signs_if_it_must;
        let place = |text: &str| place(text, (push, destinations), only_reads, working_directory);
        let mut texts = flags.cache_repo.iter();
        let first = place(texts.next().map_or("", String::as_str))?;
        let mut more: Vec<CachePlace> = Vec::new();
        for text in texts {
            let next = place(text)?;
            if next != first && !more.contains(&next) {
                more.push(next);
            }
        }
        Ok(Some(Self {
            place: first,
            more,
            writes,
            ttl,
            copy_layers: flags.cache_copy_layers == Some(true),
            run_layers: flags.cache_run_layers != Some(false),
            trust,
            sign_key,
            verify_keys,
            domain,
            not_before,
            tamper,
        }))
    }

    /// What tests begin with: all is believed, written and kept here.
    #[cfg(test)]
    pub(crate) fn of(place: CachePlace) -> Self {
        Self {
            place,
            more: Vec::new(),
            writes: true,
            ttl: Duration::from_hours(336),
            copy_layers: true,
            run_layers: true,
            trust: Trust::Off,
            sign_key: None,
            verify_keys: Vec::new(),
            domain: "main".to_owned(),
            not_before: None,
            tamper: Tamper::Miss,
        }
    }

    /// All places, in the order in which they count.
    pub fn places(&self) -> impl Iterator<Item = &CachePlace> {
        std::iter::once(&self.place).chain(&self.more)
    }

    /// The registries that it is in.
    pub fn registries(&self) -> impl Iterator<Item = &str> {
        self.places().filter_map(|place| match place {
            CachePlace::Repository(reference) => Some(reference.registry()),
            CachePlace::Directory(_) => None,
        })
    }

    /// The directories that it is in.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.places().filter_map(|place| match place {
            CachePlace::Repository(_) => None,
            CachePlace::Directory(path) => Some(path.as_path()),
        })
    }

    /// The files with keys.
    pub fn key_files(&self) -> impl Iterator<Item = &Path> {
        let files = self.sign_key.iter().chain(&self.verify_keys);
        files.map(PathBuf::as_path)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    ReadWrite,
    Off,
}

fn choice<T: Copy>(
    flag: &'static str,
    text: Option<&String>,
    choices: &'static str,
    known: &[(&str, T)],
) -> Result<Option<T>, ConfigError> {
    let Some(text) = text else {
        return Ok(None);
    };
    match known.iter().find(|(name, _)| name == text) {
        Some((_, value)) => Ok(Some(*value)),
        None => Err(ConfigError::Choice {
            flag,
            text: text.clone(),
            choices,
        }),
    }
}

fn trust(flags: &CacheFlags) -> Result<Option<Trust>, ConfigError> {
    choice(
        "--cache-trust",
        flags.cache_trust.as_ref(),
        "require, prefer, off",
        &[
            ("require", Trust::Require),
            ("prefer", Trust::Prefer),
            ("off", Trust::Off),
        ],
    )
}

fn mode(flags: &CacheFlags) -> Result<Option<Mode>, ConfigError> {
    choice(
        "--cache-mode",
        flags.cache_mode.as_ref(),
        "ro, rw, off",
        &[
            ("ro", Mode::Read),
            ("rw", Mode::ReadWrite),
            ("off", Mode::Off),
        ],
    )
}

fn tamper(flags: &CacheFlags) -> Result<Tamper, ConfigError> {
    let tamper = choice(
        "--cache-tamper",
        flags.cache_tamper.as_ref(),
        "fail, miss",
        &[("fail", Tamper::Fail), ("miss", Tamper::Miss)],
    )?;
    Ok(tamper.unwrap_or_default())
}

/// Keys that nothing is done with are a mistake, and so is trust without any.
fn check_keys(trust: Trust, has_keys: bool) -> Result<(), ConfigError> {
    match (trust, has_keys) {
        (Trust::Require, false) => Err(ConfigError::CacheWithoutKeys {
            trust: "--cache-trust=require",
        }),
        (Trust::Prefer, false) => Err(ConfigError::CacheWithoutKeys {
            trust: "--cache-trust=prefer",
        }),
        (Trust::Off, true) => Err(ConfigError::CacheKeysWithoutTrust),
        (Trust::Require | Trust::Prefer, true) | (Trust::Off, false) => Ok(()),
    }
}

/// As kaniko: a repository, `oci:DIRECTORY`, or `cache` below the first destination.
fn place(
    text: &str,
    (push, destinations): (bool, &[Reference]),
    only_reads: bool,
    working_directory: &Path,
) -> Result<CachePlace, ConfigError> {
    if let Some(directory) = text.strip_prefix("oci:") {
        if directory.is_empty() {
            return Err(wrong("--cache-repo", text)(
                "expected oci:DIRECTORY".to_owned(),
            ));
        }
        return Ok(CachePlace::Directory(working_directory.join(directory)));
    }
    if text.is_empty() {
        let destination = destinations.first().filter(|_| push || only_reads);
        let destination = destination.ok_or(ConfigError::NoCacheRepo)?;
        let repository = format!("{}/cache", destination.repository());
        let registry = destination.registry().to_owned();
        let reference = Reference::with_tag(registry, repository, "latest".to_owned());
        return Ok(CachePlace::Repository(Box::new(reference)));
    }
    let failed = wrong("--cache-repo", text);
    let reference = match parse_reference(text) {
        Ok(reference) => reference,
        Err(error) => return Err(failed(error.to_string())),
    };
    let last = text.rsplit('/').next().unwrap_or_default();
    if reference.digest().is_some() || last.contains(':') {
        return Err(failed(
            "every entry has a tag of its own; name a repository without one".to_owned(),
        ));
    }
    Ok(CachePlace::Repository(Box::new(reference)))
}

pub(super) fn domain(text: &str) -> Result<String, ConfigError> {
    let is_name =
        (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name {
        return Ok(text.to_owned());
    }
    Err(wrong("--cache-domain", text)(
        "expected a name of at most 128 visible ASCII characters".to_owned(),
    ))
}

/// RFC 3339, or seconds since 1970.
fn time(text: &str) -> Result<i64, ConfigError> {
    let failed = wrong("--cache-not-before", text);
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let parsed = DateTime::parse_from_rfc3339(text);
    parsed
        .map(|time| time.timestamp())
        .map_err(|error| failed(format!("neither a number nor a time of RFC 3339: {error}")))
}

pub(super) fn wrong(flag: &'static str, text: &str) -> impl FnOnce(String) -> ConfigError {
    let text = text.to_owned();
    move |reason| ConfigError::CacheFlag { flag, text, reason }
}

/// A duration as Go's `time.ParseDuration` reads it: `336h`, `1h30m`, `1.5h`, `0`. Not below zero.
pub(super) fn go_duration(text: &str) -> Result<Duration, String> {
    let malformed = || "expected a duration such as 336h or 1h30m".to_owned();
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.starts_with('-') {
        return Err("a duration below zero".to_owned());
    }
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(malformed());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(malformed)?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let piece = duration_of(number, unit).ok_or_else(malformed)?;
        total = total.checked_add(piece).ok_or_else(malformed)?;
        rest = tail;
    }
    Ok(total)
}

fn duration_of(number: &str, unit: &str) -> Option<Duration> {
    let nanoseconds: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| match text {
        "" => Some(0),
        text if text.len() <= 12 => text.parse::<u64>().ok(),
        _ => None,
    };
    let mut total = u128::from(digits(whole)?) * u128::from(nanoseconds);
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    total += u128::from(digits(fraction)?) * u128::from(nanoseconds) / scale;
    u64::try_from(total).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests;
