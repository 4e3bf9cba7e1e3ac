//! Flags about the rules for Dockerfiles: at the start of a build, and of `executor lint`.

use clap::{ArgAction, ValueEnum};
use kigumi_dockerfile::lint::{Level, rules};

use super::{BuildFlags, ConfigError};

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LintFlags {
    /// What questionable lines of the Dockerfile do to a build: off, warn or error
    #[arg(
        long,
        value_name = "MODE",
        default_value = "warn",
        help_heading = "Lint"
    )]
    pub lint: String,
    /// Least level of a finding that fails `executor lint`, and with --lint=error the build: error, warning or info
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "error",
        help_heading = "Lint"
    )]
    pub lint_threshold: String,
    /// Rule that is off by itself and is to run, repeatable; `all` for all
    #[arg(long, value_name = "ID", action = ArgAction::Append, value_delimiter = ',', help_heading = "Lint")]
    pub lint_rule: Vec<String>,
    /// Registry that base images may come from, repeatable; none allows all
    #[arg(long, value_name = "HOST", action = ArgAction::Append, help_heading = "Lint")]
    pub lint_trusted_registry: Vec<String>,
}

/// `executor lint`
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LintCommand {
    /// Dockerfiles; the one that a build would take if none is named
    #[arg(value_name = "FILE")]
    pub files: Vec<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t, help_heading = "Lint")]
    pub format: LintFormat,
    /// Ask no registry for base images; variables that they may set are not judged
    #[arg(long, help_heading = "Lint")]
    pub offline: bool,
    /// Print all rules with reasons and examples
    #[arg(long, help_heading = "Lint")]
    pub rules: bool,
    /// The pod that the file is for
    #[arg(long, value_name = "TIER", value_parser = ["default", "restricted"], default_value = "default", help_heading = "Lint")]
    pub tier: String,
    /// How it would be built.
    #[command(flatten)]
    pub build: BuildFlags,
}

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LintFormat {
    /// Excerpts for people.
    #[default]
    Text,
    /// The schema of `docker build --check`.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// GitLab code quality.
    Gitlab,
    /// Checkstyle.
    Checkstyle,
}

/// `--lint`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LintMode {
    /// No rule runs.
    Off,
    /// Findings are told.
    #[default]
    Warn,
    /// Findings at or above the threshold fail the build.
    Error,
}

/// What the flags mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintSettings {
    /// `--lint`
    pub mode: LintMode,
    /// `--lint-threshold`
    pub threshold: Level,
    /// `--lint-rule`
    pub requested: Vec<String>,
    /// `--lint-trusted-registry`
    pub trusted_registries: Vec<String>,
}

impl LintSettings {
    /// What the flags mean.
    ///
    /// # Errors
    /// [`ConfigError::Choice`], [`ConfigError::UnknownRule`].
    pub fn new(flags: &LintFlags) -> Result<Self, ConfigError> {
        let unknown = flags.lint_rule.iter().find(|id| !is_rule(id));
        if let Some(id) = unknown {
            return Err(ConfigError::UnknownRule { text: id.clone() });
        }
        Ok(Self {
            mode: mode(&flags.lint)?,
            threshold: threshold(&flags.lint_threshold)?,
            requested: flags.lint_rule.clone(),
            trusted_registries: flags.lint_trusted_registry.clone(),
        })
    }
}

fn is_rule(id: &str) -> bool {
    id == "all" || rules().any(|rule| rule.id == id)
}

fn mode(text: &str) -> Result<LintMode, ConfigError> {
    match text {
        "off" => Ok(LintMode::Off),
        "warn" | "" => Ok(LintMode::Warn),
        "error" => Ok(LintMode::Error),
        text => Err(ConfigError::Choice {
            flag: "--lint",
            text: text.to_owned(),
            choices: "off, warn, error",
        }),
    }
}

fn threshold(text: &str) -> Result<Level, ConfigError> {
    match text {
        "error" | "" => Ok(Level::Error),
        "warning" => Ok(Level::Warning),
        "info" => Ok(Level::Info),
        text => Err(ConfigError::Choice {
            flag: "--lint-threshold",
            text: text.to_owned(),
            choices: "error, warning, info",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_words_are_refused_with_what_would_be_right() {
        for (flags, named) in [
            (
                LintFlags {
                    lint: "no".to_owned(),
                    ..LintFlags::default()
                },
                "off, warn, error",
            ),
            (
                LintFlags {
                    lint_threshold: "fatal".to_owned(),
                    ..LintFlags::default()
                },
                "error, warning, info",
            ),
            (
                LintFlags {
                    lint_rule: vec!["DL9999".to_owned()],
                    ..LintFlags::default()
                },
                "DL9999",
            ),
        ] {
            let error = LintSettings::new(&flags).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn findings_are_told_and_errors_fail_the_check_unless_somebody_says_otherwise() {
        let settings = LintSettings::new(&LintFlags::default()).unwrap();
        assert_eq!(
            (settings.mode, settings.threshold),
            (LintMode::Warn, Level::Error)
        );
    }
}
