//! The flag about base images that the warmer has put beside the build.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::CacheSettings;

/// Where they are if nobody says so (kaniko-contract §3, §5).
pub(super) const DEFAULT_DIRECTORY: &str = "/cache";

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BaseCacheFlags {
    /// Directory with the base images that `warmer` has put there; it is only read, and only with --cache [default: /cache]
    #[arg(long, value_name = "DIRECTORY", help_heading = "Cache")]
    pub cache_dir: Option<String>,
}

/// What it means. Absent from the configuration when there is no cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseCacheSettings {
    /// `--cache-dir`
    pub directory: PathBuf,
    /// `--cache-ttl`
    pub ttl: Duration,
    /// Whether a flag names the directory.
    pub is_named: bool,
}

impl BaseCacheSettings {
    /// COMPAT(kaniko): without `--cache` base images come from registries, whatever the directory has.
    pub fn new(
        flags: &BaseCacheFlags,
        cache: Option<&CacheSettings>,
        working_directory: &Path,
    ) -> Option<Self> {
        let named = flags.cache_dir.as_deref().filter(|text| !text.is_empty());
        cache.map(|cache| Self {
            directory: working_directory.join(named.unwrap_or(DEFAULT_DIRECTORY)),
            ttl: cache.ttl,
            is_named: named.is_some(),
        })
    }

    /// The directory, if a flag names it.
    pub fn named(&self) -> Option<&Path> {
        self.is_named.then_some(self.directory.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment, parse};
    use super::*;

    fn settings(flags: &[&str]) -> Option<BaseCacheSettings> {
        let words = ["executor", "--no-push", "--cache-repo=r.test/c"];
        let args = parse(words.iter().chain(flags)).unwrap();
        let config = Config::new(&args.build, &Environment::of([], "/here")).unwrap();
        config.base_cache
    }

    #[test]
    fn the_directory_is_looked_at_with_a_cache_only() {
        assert_eq!(settings(&["--cache-dir=/x"]), None);
        assert_eq!(settings(&["--cache-dir=/x", "--cache=false"]), None);
        let used = settings(&["--cache", "--cache-dir=x", "--cache-ttl=1h"]).unwrap();
        assert_eq!(used.directory, Path::new("/here/x"));
        assert_eq!(used.ttl, Duration::from_hours(1));
        assert_eq!(used.named(), Some(Path::new("/here/x")));
    }

    #[test]
    fn the_usual_directory_is_not_a_named_one() {
        for flags in [&["--cache"][..], &["--cache", "--cache-dir="]] {
            let usual = settings(flags).unwrap();
            assert_eq!(usual.directory, Path::new("/cache"));
            assert_eq!(usual.named(), None);
        }
    }
}
