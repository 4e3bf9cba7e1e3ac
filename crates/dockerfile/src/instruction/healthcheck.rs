//! HEALTHCHECK.

use std::time::Duration;

use serde::Serialize;

use super::CommandForm;

/// `HEALTHCHECK NONE` or `HEALTHCHECK [flags] CMD command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Healthcheck {
    /// Switches an inherited check off.
    None,
    /// Sets the check.
    Check {
        /// The flags.
        options: HealthcheckOptions,
        /// CMD (exec) or CMD-SHELL (shell); never empty.
        command: CommandForm,
    },
}

/// The flags of HEALTHCHECK. Zero and absent both mean the default of whoever runs the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct HealthcheckOptions {
    /// `--interval`
    pub interval: Duration,
    /// `--timeout`
    pub timeout: Duration,
    /// `--start-period`
    pub start_period: Duration,
    /// `--start-interval`
    pub start_interval: Duration,
    /// `--retries`
    pub retries: u32,
}
