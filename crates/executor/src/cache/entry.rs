//! The manifest that carries a record and its signatures. Nothing in it is believed but what the record repeats.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kigumi_oci::{Descriptor, Digest, MediaType, media};
use serde::{Deserialize, Serialize};

use super::keys::{SignKey, VerifyKey};
use super::{Reason, record};

/// Annotations with signatures begin so; the name of the key follows.
const SIGNATURE: &str = "dev.kigumi.cache.sig/";
/// Records that are not larger stand in the manifest as well (image-spec v1.1 descriptor.md, `data`): whoever has the manifest has the record.
const INLINE: usize = 16 * 1024;
/// What stands for no layers: image-spec v1.1 manifest.md § Guidance for an Empty Descriptor. Some registries refuse manifests without any.
pub(super) const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");

/// What an entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// The media type of its record, and of the artifact.
    pub(super) media_type: &'static str,
    /// What its signatures are of.
    pub(super) signed_as: &'static str,
}

/// The layer of a step.
pub(super) const LAYER: Kind = Kind {
    media_type: "application/vnd.kigumi.cache.v1+json",
    signed_as: "KXCACHE1",
};

/// The manifest as written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    schema_version: u32,
    media_type: &'a str,
    artifact_type: &'a str,
    config: WrittenConfig<'a>,
    layers: &'a [Descriptor],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenConfig<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

/// Writes the manifest of a record.
pub(super) fn write(
    kind: Kind,
    record: &[u8],
    layers: &[Descriptor],
    signer: Option<&SignKey>,
) -> Result<Vec<u8>, serde_json::Error> {
    let signatures = signer.map(|key| {
        let annotation = format!("{SIGNATURE}{}", key.name());
        (annotation, key.sign(kind.signed_as, record))
    });
    serde_json::to_vec(&Written {
        schema_version: 2,
        media_type: media::OCI_MANIFEST,
        artifact_type: kind.media_type,
        config: WrittenConfig {
            media_type: kind.media_type,
            digest: Digest::of(record),
            size: record.len() as u64,
            data: (record.len() <= INLINE).then(|| STANDARD.encode(record)),
        },
        layers,
        annotations: signatures.into_iter().collect(),
    })
}

/// The descriptors of an entry without layers.
pub(super) fn no_layers() -> Vec<Descriptor> {
    let (media_type, bytes) = EMPTY;
    vec![Descriptor::of(MediaType::from(media_type), bytes)]
}

/// A manifest that says that it is an entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    config: Descriptor,
    data: Option<Vec<u8>>,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    schema_version: u32,
    artifact_type: Option<String>,
    config: ReadConfig,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ReadConfig {
    #[serde(flatten)]
    descriptor: Descriptor,
    data: Option<String>,
}

impl Entry {
    /// Reads a manifest.
    pub(super) fn parse(kind: Kind, bytes: &[u8]) -> Result<Self, Reason> {
        let read: Read = serde_json::from_slice(bytes).map_err(|_malformed| Reason::Type)?;
        let types = (
            read.artifact_type.as_deref(),
            read.config.descriptor.media_type.as_ref(),
        );
        if read.schema_version != 2 || types != (Some(kind.media_type), kind.media_type) {
            return Err(Reason::Type);
        }
        let config = read.config.descriptor;
        if config.size > record::LIMIT {
            return Err(Reason::Record);
        }
        let data = read.config.data.map(|data| STANDARD.decode(data));
        let data = data.transpose().map_err(|_malformed| Reason::Record)?;
        let is_promised =
            |data: &Vec<u8>| data.len() as u64 == config.size && Digest::of(data) == config.digest;
        if data.as_ref().is_some_and(|data| !is_promised(data)) {
            return Err(Reason::Record);
        }
        Ok(Self {
            config,
            data,
            layers: read.layers,
            annotations: read.annotations,
        })
    }

    /// The record, if it stands in the manifest.
    pub(super) fn record(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }

    /// Where it is otherwise.
    pub(super) fn record_descriptor(&self) -> &Descriptor {
        &self.config
    }

    /// Whether a trusted key has signed these very bytes.
    pub(super) fn check_signature(
        &self,
        kind: Kind,
        record: &[u8],
        keys: &[VerifyKey],
    ) -> Result<(), Reason> {
        let is_signature = |name: &&String| name.starts_with(SIGNATURE);
        if !self.annotations.keys().any(|name| is_signature(&name)) {
            return Err(Reason::Unsigned);
        }
        let signed = keys.iter().any(|key| {
            let signature = self.annotations.get(&format!("{SIGNATURE}{}", key.name()));
            signature.is_some_and(|signature| key.verifies(kind.signed_as, record, signature))
        });
        if signed {
            Ok(())
        } else {
            Err(Reason::Signature)
        }
    }

    /// Whether the manifest names these blobs and no others.
    pub(super) fn check_layers(&self, expected: &[Descriptor]) -> Result<(), Reason> {
        let is_same = |(found, expected): (&Descriptor, &Descriptor)| {
            found.media_type == expected.media_type
                && found.digest == expected.digest
                && found.size == expected.size
        };
        let all = self.layers.iter().zip(expected).all(is_same);
        if all && self.layers.len() == expected.len() {
            return Ok(());
        }
        Err(Reason::Descriptor)
    }
}
