//! `expect.json`: what came out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use super::facts::Facts;

/// The result of a build.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Expected {
    /// It failed.
    Failed {
        /// How.
        error: Complaint,
    },
    /// It made an image for each of several platforms.
    Platforms {
        /// By platform.
        platforms: BTreeMap<String, Box<BuiltImage>>,
    },
    /// It made an image.
    Built(Box<BuiltImage>),
}

/// What a good message says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complaint {
    /// Flags, paths, stages, instructions.
    pub names: Vec<String>,
    /// Of the Dockerfile.
    pub line: Option<u32>,
}

/// An image.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltImage {
    /// The known image that it starts with.
    pub base: String,
    /// How many of its layers it keeps.
    pub base_layers: usize,
    /// Of the config.
    pub config: Value,
    /// After that of the base.
    pub history: Vec<Value>,
    /// Above those of the base.
    pub layers: Vec<LayerFacts>,
    /// What differs from the base.
    pub rootfs: Vec<Facts>,
    /// Other right answers.
    #[serde(default)]
    pub variants: Vec<Variant>,
}

/// A layer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerFacts {
    /// By path.
    pub entries: Vec<Facts>,
}

/// Another right answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    #[serde(rename = "snapshotter")]
    _snapshotter: Option<String>,
    /// Instead of the layers.
    pub layers: Option<Vec<LayerFacts>>,
    /// Instead of the root filesystem.
    pub rootfs: Option<Vec<Facts>>,
}

impl Expected {
    /// Reads `expect.json`, or a file of that form.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("parse {}", path.display()))
    }
}
