use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::null_is_empty;
use crate::{DiffId, Platform};

/// An image config. image-spec v1.1 config.md, with the fields that Docker adds.
///
/// Not `oci-spec`'s type: that one drops `Healthcheck`, `OnBuild` and `Shell`, and writes maps in an order that changes
/// from run to run, hence with it the digest (ADR 3). Fields that nobody here knows are carried along.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, Default)]
pub struct ImageConfig {
    /// RFC 3339 time of the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// MAINTAINER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// GOARCH.
    #[serde(default)]
    pub architecture: String,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// GOOS.
    #[serde(default)]
    pub os: String,
    /// What a container of the image runs with.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub config: ContainerConfig,
    /// The layers by content, base layer first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub rootfs: RootFs,
    /// One entry per instruction, oldest first.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<HistoryEntry>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl ImageConfig {
    /// The platform the image is for.
    pub fn platform(&self) -> Platform {
        Platform::new(&self.os, &self.architecture, self.variant.as_deref())
    }
}

/// `rootfs` of an image config.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed layers, base layer first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// One entry of `history`. image-spec v1.1 config.md § `history`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct HistoryEntry {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// MAINTAINER of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Which builder wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// True for an instruction that made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// `config` of an image config: what a container runs with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// USER, raw: `name`, `uid`, `name:group`, `uid:gid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// EXPOSE, `port/protocol` each.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "set_as_object"
    )]
    pub exposed_ports: Option<Vec<String>>,
    /// ENV in order, `KEY=value` each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// ENTRYPOINT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// CMD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// HEALTHCHECK (Docker's; BuildKit writes it to OCI configs too).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// CMD is in shell form and was already put in a list (Docker's, informative).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_escaped: Option<bool>,
    /// VOLUME.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "set_as_object"
    )]
    pub volumes: Option<Vec<String>>,
    /// WORKDIR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// ONBUILD, raw instructions (Docker's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// LABEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// STOPSIGNAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// SHELL (Docker's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl ContainerConfig {
    /// The environment as pairs; an entry without `=` has an empty value (T-UNPACK-10).
    pub fn env_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env
            .iter()
            .flatten()
            .map(|entry| (env_key(entry), env_value(entry)))
    }

    /// The value of one variable; the last entry wins.
    pub fn env_lookup(&self, key: &str) -> Option<&str> {
        self.env_pairs()
            .filter(|(name, _)| *name == key)
            .last()
            .map(|(_, value)| value)
    }

    /// Sets a variable in its place, or appends it.
    pub fn set_env(&mut self, key: &str, value: &str) {
        let entry = format!("{key}={value}");
        let env = self.env.get_or_insert_default();
        match env.iter_mut().find(|existing| env_key(existing) == key) {
            Some(existing) => *existing = entry,
            None => env.push(entry),
        }
    }
}

/// The name in `NAME=value`.
pub fn env_key(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(key, _)| key)
}

/// The value in `NAME=value`; empty without `=`.
pub fn env_value(entry: &str) -> &str {
    entry.split_once('=').map_or("", |(_, value)| value)
}

/// HEALTHCHECK as Docker's config stores it; durations in nanoseconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub test: Vec<String>,
    /// `--interval` in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// `--timeout` in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// `--start-period` in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// `--start-interval` in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// `--retries`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Sets are stored as objects with empty values: `{"80/tcp": {}}`. Kept sorted, so that the digest is stable.
mod set_as_object {
    use std::collections::BTreeMap;

    use serde::ser::SerializeMap;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::{Map, Value};

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        set: &Option<Vec<String>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut sorted: Vec<&String> = set.iter().flatten().collect();
        sorted.sort();
        sorted.dedup();
        let mut map = serializer.serialize_map(Some(sorted.len()))?;
        for key in sorted {
            map.serialize_entry(key, &Map::new())?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<String>>, D::Error> {
        let map = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?;
        Ok(map.map(|map| map.into_keys().collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_docker_adds_and_what_nobody_knows_survive() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"ExposedPorts":{"80/tcp":{},"443/tcp":{}},
            "Healthcheck":{"Test":["CMD","x"],"Interval":5},"OnBuild":["RUN x"],"Shell":["/bin/sh"],"Novel":[1]},
            "rootfs":{"type":"layers","diff_ids":[]},"moby.buildkit.cache.v0":"e30="}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        let again = serde_json::to_value(&config).unwrap();
        assert_eq!(again["config"]["Healthcheck"]["Interval"], 5);
        assert_eq!(again["config"]["OnBuild"][0], "RUN x");
        assert_eq!(again["config"]["Novel"][0], 1);
        assert_eq!(again["moby.buildkit.cache.v0"], "e30=");
        assert_eq!(config.config.exposed_ports.as_deref().unwrap().len(), 2);
    }

    #[test]
    fn null_fields_of_go_programs_are_read_as_empty() {
        let text = r#"{"architecture":"amd64","os":"linux","config":null,"history":null,
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert!(config.rootfs.diff_ids.is_empty() && config.history.is_empty());
    }

    #[test]
    fn a_variable_keeps_its_place_when_it_is_set_again() {
        let mut config = ContainerConfig::default();
        config.set_env("A", "1");
        config.set_env("B", "2");
        config.set_env("A", "3");
        assert_eq!(config.env, Some(vec!["A=3".into(), "B=2".into()]));
        assert_eq!(config.env_lookup("A"), Some("3"));
    }

    proptest! {
        #[test]
        fn writing_the_same_config_twice_gives_the_same_bytes(
            labels in proptest::collection::btree_map("[a-z]{1,8}", ".{0,8}", 0..6),
            ports in proptest::collection::vec("[1-9][0-9]{0,3}/tcp", 0..6),
        ) {
            let config = ImageConfig {
                config: ContainerConfig {
                    labels: Some(labels),
                    exposed_ports: Some(ports),
                    ..ContainerConfig::default()
                },
                ..ImageConfig::default()
            };
            let once = serde_json::to_string(&config).unwrap();
            let read: ImageConfig = serde_json::from_str(&once).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), once);
        }
    }
}
