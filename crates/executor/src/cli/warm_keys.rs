//! Who says what is in the layers that the warmer fetches: builds that believe signed entries only want a signature for that, too.

use std::path::Path;
use std::time::Duration;

use super::cache_flags::domain;
use super::{CachePlace, CacheSettings, ConfigError, Tamper, Trust};

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WarmKeys {
    /// Secret key that what is known of the layers is signed with: NAME:BASE64
    #[arg(long, value_name = "FILE")]
    pub cache_sign_key: Option<String>,
    /// Name of the domain whose builds use what is known of the layers
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub cache_domain: String,
}

impl WarmKeys {
    /// The settings of a cache in a directory, of which each image has its own.
    ///
    /// # Errors
    /// For a domain that is none.
    pub(super) fn settings(
        &self,
        ttl: Duration,
        (directory, working_directory): (&Path, &Path),
    ) -> Result<CacheSettings, ConfigError> {
        let given = self.cache_sign_key.as_ref().filter(|text| !text.is_empty());
        let sign_key = given.map(|text| working_directory.join(text));
        Ok(CacheSettings {
            place: CachePlace::Directory(directory.to_owned()),
            more: Vec::new(),
            writes: true,
            ttl,
            copy_layers: false,
            run_layers: false,
            trust: if sign_key.is_some() {
                Trust::Require
            } else {
                Trust::Off
            },
            sign_key,
            verify_keys: Vec::new(),
            domain: domain(&self.cache_domain)?,
            not_before: None,
            tamper: Tamper::Miss,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(key: Option<&str>, domain: &str) -> Result<CacheSettings, ConfigError> {
        let keys = WarmKeys {
            cache_sign_key: key.map(str::to_owned),
            cache_domain: domain.to_owned(),
        };
        let paths = (Path::new("/cache"), Path::new("/here"));
        keys.settings(Duration::from_hours(1), paths)
    }

    #[test]
    fn with_a_key_what_is_written_is_signed_and_what_is_there_must_be() {
        let signed = settings(Some("main.sec"), "main").unwrap();
        assert_eq!(
            signed.sign_key.as_deref(),
            Some(Path::new("/here/main.sec"))
        );
        assert_eq!(
            (signed.trust, signed.domain.as_str()),
            (Trust::Require, "main")
        );
        for none in [None, Some("")] {
            let open = settings(none, "default").unwrap();
            assert_eq!((open.trust, open.sign_key), (Trust::Off, None));
        }
        settings(None, "two words").unwrap_err();
    }
}
