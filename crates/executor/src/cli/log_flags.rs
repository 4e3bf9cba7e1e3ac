//! Flags about the log, which every subcommand has.

use super::ConfigError;
use super::args::go_bool;

/// As typed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogFlags {
    /// panic, fatal, error, warn, info, debug or trace
    #[arg(short = 'v', long, default_value = "info", help_heading = "Log")]
    pub verbosity: String,
    /// text, color or json
    #[arg(long, default_value = "color", help_heading = "Log")]
    pub log_format: String,
    /// Timestamps in text logs
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, help_heading = "Log")]
    pub log_timestamp: bool,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Errors only (`error`, `fatal`, `panic`).
    Error,
    /// And warnings.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And everything else.
    Trace,
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines.
    Text,
    /// Lines with colours where a terminal shows them.
    #[default]
    Color,
    /// One JSON object a line.
    Json,
}

/// How to log; known before anything else, so that every error can be reported in the form that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// How much.
    pub verbosity: Verbosity,
    /// In which form.
    pub format: LogFormat,
    /// With timestamps.
    pub timestamps: bool,
}

impl LogOptions {
    /// What the log flags mean.
    ///
    /// # Errors
    /// [`ConfigError::Choice`].
    pub fn new(flags: &LogFlags) -> Result<Self, ConfigError> {
        let verbosity = match flags.verbosity.as_str() {
            "panic" | "fatal" | "error" => Verbosity::Error,
            "warn" | "warning" => Verbosity::Warn,
            "info" => Verbosity::Info,
            "debug" => Verbosity::Debug,
            "trace" => Verbosity::Trace,
            text => {
                return Err(ConfigError::Choice {
                    flag: "--verbosity",
                    text: text.to_owned(),
                    choices: "panic, fatal, error, warn, info, debug, trace",
                });
            }
        };
        let format = match flags.log_format.as_str() {
            "text" => LogFormat::Text,
            "color" => LogFormat::Color,
            "json" => LogFormat::Json,
            text => {
                return Err(ConfigError::Choice {
                    flag: "--log-format",
                    text: text.to_owned(),
                    choices: "text, color, json",
                });
            }
        };
        Ok(Self {
            verbosity,
            format,
            timestamps: flags.log_timestamp,
        })
    }
}
