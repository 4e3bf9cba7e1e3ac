//! From what the user typed to what it means: [`Args`] are the words, [`Config`] is the meaning, and the conversion between them
//! is the only place that looks at a flag, at the environment or at the working directory.

mod args;
mod config;

pub use args::{Args, BuildFlags, Command, parse};
pub use config::{
    Config, ConfigError, Environment, LogFormat, LogOptions, Outputs, RegistryFlags, Verbosity,
};
