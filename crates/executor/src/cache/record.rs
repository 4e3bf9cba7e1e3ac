//! The record of an entry: what is signed. Canonical JSON: no white space, the fields in one order, one spelling of every value.

use chrono::{DateTime, SecondsFormat, Utc};
use kigumi_oci::{DiffId, Digest, MediaType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CachedLayer, Reason};

/// What no record is larger than, in bytes.
pub(super) const LIMIT: u64 = 1024 * 1024;
/// The version of the form of records.
pub(super) const VERSION: u32 = 1;

/// What an entry says of itself (supply-chain.md § 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) v: u32,
    pub(super) domain: String,
    pub(super) key: String,
    pub(super) instruction_digest: Digest,
    pub(super) base_digest: Digest,
    /// How the states came to be that the step was applied to and read from; only whoever asks can judge it.
    pub(super) lineage: Vec<Digest>,
    pub(super) layer: RecordLayer,
    pub(super) config_delta: ConfigDelta,
    pub(super) created: Time,
    pub(super) not_after: Time,
    pub(super) builder: String,
    pub(super) guard: Option<Guard>,
}

/// The layer of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum RecordLayer {
    /// It changed nothing.
    Empty(Empty),
    /// It has one.
    Stored(StoredLayer),
}

/// The word `empty`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Empty {
    #[serde(rename = "empty")]
    Empty,
}

/// A layer as a record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredLayer {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) diff_id: DiffId,
    pub(super) media_type: MediaType,
}

/// What the step does to the image config: nothing that is not known from the Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigDelta {}

/// What the secret guard found; null where none has looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    pub(super) ver: u32,
    pub(super) ok: bool,
}

/// Seconds since 1970, written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub(super) i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = DateTime::<Utc>::from_timestamp(self.0, 0).unwrap_or_default();
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(time.timestamp()))
    }
}

impl From<&CachedLayer> for StoredLayer {
    fn from(layer: &CachedLayer) -> Self {
        Self {
            digest: layer.digest,
            size: layer.size,
            diff_id: layer.diff_id,
            media_type: layer.media_type.clone(),
        }
    }
}

impl From<&StoredLayer> for CachedLayer {
    fn from(layer: &StoredLayer) -> Self {
        Self {
            digest: layer.digest,
            size: layer.size,
            diff_id: layer.diff_id,
            media_type: layer.media_type.clone(),
        }
    }
}

/// The one form of a record.
pub(super) fn write<T: Serialize>(record: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(record)
}

/// Reads a record that is in the one form it has: fields that are unknown, twice there or in another order, other spellings and what follows
/// are all something else.
pub(super) fn parse<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Reason> {
    if bytes.len() as u64 > LIMIT {
        return Err(Reason::Record);
    }
    let record: T = serde_json::from_slice(bytes).map_err(|_malformed| Reason::Record)?;
    match write(&record) {
        Ok(canonical) if canonical == bytes => Ok(record),
        Ok(_) | Err(_) => Err(Reason::Record),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cache) fn record() -> Record {
        Record {
            v: VERSION,
            domain: "main".to_owned(),
            key: Digest::of(b"key").hex(),
            instruction_digest: Digest::of(b"instruction"),
            base_digest: Digest::of(b"base"),
            lineage: vec![Digest::of(b"lineage")],
            layer: RecordLayer::Stored(StoredLayer {
                digest: Digest::of(b"layer"),
                size: 5,
                diff_id: DiffId(Digest::of(b"tar")),
                media_type: MediaType::ImageLayerGzip,
            }),
            config_delta: ConfigDelta {},
            created: Time(1_700_000_000),
            not_after: Time(1_700_000_100),
            builder: "kigumi".to_owned(),
            guard: None,
        }
    }

    #[test]
    fn a_record_is_one_line_in_the_order_of_the_specification() {
        let text = String::from_utf8(write(&record()).unwrap()).unwrap();
        let (key, instruction) = (Digest::of(b"key").hex(), Digest::of(b"instruction"));
        let (base, lineage) = (Digest::of(b"base"), Digest::of(b"lineage"));
        let (layer, tar) = (Digest::of(b"layer"), Digest::of(b"tar"));
        assert_eq!(
            text,
            format!(
                r#"{{"v":1,"domain":"main","key":"{key}","instruction_digest":"{instruction}","base_digest":"{base}","lineage":["{lineage}"],"layer":{{"digest":"{layer}","size":5,"diff_id":"{tar}","media_type":"application/vnd.oci.image.layer.v1.tar+gzip"}},"config_delta":{{}},"created":"2023-11-14T22:13:20Z","not_after":"2023-11-14T22:15:00Z","builder":"kigumi","guard":null}}"#
            )
        );
        assert_eq!(parse::<Record>(text.as_bytes()), Ok(record()));
        let empty = Record {
            layer: RecordLayer::Empty(Empty::Empty),
            guard: Some(Guard { ver: 1, ok: true }),
            ..record()
        };
        let text = write(&empty).unwrap();
        assert!(String::from_utf8_lossy(&text).contains(r#""layer":"empty""#));
        assert_eq!(parse(&text), Ok(empty));
    }

    /// supply-chain.md § 4.6, row 12.
    #[test]
    fn other_forms_of_the_same_record_are_no_records() {
        let text = String::from_utf8(write(&record()).unwrap()).unwrap();
        for (what, changed) in [
            ("a field twice", text.replace(r#""v":1"#, r#""v":1,"v":1"#)),
            (
                "a field of the layer twice",
                text.replace(r#""size":5"#, r#""size":5,"size":5"#),
            ),
            (
                "an unknown field",
                text.replace(r#""v":1"#, r#""v":1,"w":1"#),
            ),
            (
                "an unknown field of the layer",
                text.replace(r#""size":5"#, r#""size":5,"x":5"#),
            ),
            (
                "an effect on the config",
                text.replace(r#""config_delta":{}"#, r#""config_delta":{"a":1}"#),
            ),
            ("bytes behind", format!("{text}x")),
            ("a line feed behind", format!("{text}\n")),
            ("white space", text.replacen(':', ": ", 1)),
            (
                "another order",
                text.replace(r#""v":1,"domain":"main""#, r#""domain":"main","v":1"#),
            ),
            ("an escape", text.replace("main", "m\\u0061in")),
            (
                "another number",
                text.replace(r#""size":5"#, r#""size":5.0"#),
            ),
            (
                "another time zone",
                text.replace("22:13:20Z", "23:13:20+01:00"),
            ),
            ("a missing field", text.replace(r#","guard":null"#, "")),
        ] {
            assert_ne!(changed, text, "{what}");
            assert_eq!(
                parse::<Record>(changed.as_bytes()),
                Err(Reason::Record),
                "{what}"
            );
        }
    }

    /// Row 8.
    #[test]
    fn a_record_that_is_too_large_is_none() {
        let large = Record {
            builder: "x".repeat(usize::try_from(LIMIT).unwrap()),
            ..record()
        };
        assert_eq!(
            parse::<Record>(&write(&large).unwrap()),
            Err(Reason::Record)
        );
    }
}
