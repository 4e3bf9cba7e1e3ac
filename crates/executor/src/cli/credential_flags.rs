//! Where credentials of registries are looked for beside the files, and what becomes of the files.

use clap::ArgAction;

use super::ConfigError;
use super::args::go_bool;

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CredentialFlags {
    /// Provider of registry credentials, repeatable, asked in this order behind the files: env, google, ecr, acr, gitlab (all of them if absent); empty for none
    #[arg(long, value_name = "NAME", action = ArgAction::Append, help_heading = "Registry")]
    pub credential_helpers: Vec<String>,
    /// Remove the files with registry credentials for good when they are read: for a copy on a volume of this build alone
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Registry")]
    pub consume_credentials: bool,
}

/// What they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialSettings {
    /// In the order in which they are asked.
    pub helpers: Vec<CredentialHelper>,
    /// `--consume-credentials`
    pub consume: bool,
}

/// A name of `--credential-helpers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialHelper {
    /// `KANIKO_<HOST>_USER` and `KANIKO_<HOST>_PASSWORD`
    Env,
    /// Google's registries.
    Google,
    /// Amazon's registries.
    Ecr,
    /// Azure's registries.
    Acr,
    /// `CI_REGISTRY_USER` and `CI_REGISTRY_PASSWORD`
    Gitlab,
}

impl CredentialHelper {
    const ALL: [Self; 5] = [Self::Env, Self::Google, Self::Ecr, Self::Acr, Self::Gitlab];

    const fn name(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Google => "google",
            Self::Ecr => "ecr",
            Self::Acr => "acr",
            Self::Gitlab => "gitlab",
        }
    }
}

impl Default for CredentialSettings {
    fn default() -> Self {
        Self {
            helpers: CredentialHelper::ALL.to_vec(),
            consume: false,
        }
    }
}

impl CredentialSettings {
    /// What the flags mean.
    ///
    /// # Errors
    /// [`ConfigError::Choice`] for a name of none.
    pub fn new(flags: &CredentialFlags) -> Result<Self, ConfigError> {
        let consume = flags.consume_credentials;
        if flags.credential_helpers.is_empty() {
            return Ok(Self {
                consume,
                ..Self::default()
            });
        }
        let mut helpers = Vec::new();
        for text in flags
            .credential_helpers
            .iter()
            .filter(|text| !text.is_empty())
        {
            let mut known = CredentialHelper::ALL.into_iter();
            let helper = known.find(|helper| helper.name() == text);
            let helper = helper.ok_or_else(|| ConfigError::Choice {
                flag: "--credential-helpers",
                text: text.clone(),
                choices: "env, google, ecr, acr, gitlab",
            })?;
            if !helpers.contains(&helper) {
                helpers.push(helper);
            }
        }
        Ok(Self { helpers, consume })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(names: &[&str]) -> Result<Vec<&'static str>, ConfigError> {
        let flags = CredentialFlags {
            credential_helpers: names.iter().map(|name| (*name).to_owned()).collect(),
            consume_credentials: false,
        };
        let settings = CredentialSettings::new(&flags)?;
        Ok(settings
            .helpers
            .into_iter()
            .map(CredentialHelper::name)
            .collect())
    }

    #[test]
    fn helpers_are_asked_in_the_order_of_the_flags_and_an_empty_name_is_none() {
        for (names, expected) in [
            (&[][..], &["env", "google", "ecr", "acr", "gitlab"][..]),
            (&["gitlab", "env", "gitlab"], &["gitlab", "env"]),
            (&[""], &[]),
            (&["", "acr"], &["acr"]),
        ] {
            assert_eq!(settings(names).unwrap(), expected, "{names:?}");
        }
    }

    #[test]
    fn an_unknown_helper_is_an_error_that_names_the_known_ones() {
        let error = settings(&["ecr-login"]).unwrap_err().to_string();
        assert!(
            error.contains("`ecr-login` is not one of env, google, ecr, acr, gitlab"),
            "{error}"
        );
    }
}
