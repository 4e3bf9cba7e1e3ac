//! The builder itself: flags become a [`cli::Config`], a Dockerfile becomes a plan, the plan becomes an image.

pub mod cli;
pub mod report;
pub mod time;
