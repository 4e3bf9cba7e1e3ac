use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Descriptor, Digest, Error, MediaType, Platform, Raw, media};

/// An image manifest, OCI or Docker schema 2. image-spec v1.1 manifest.md.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Absent in some OCI manifests; always written by kigumi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// The layers, base layer first. `null` is read as none (T-STAGE-14).
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<Descriptor>,
    /// Free annotations, in a stable order.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Manifests by platform. image-spec v1.1 image-index.md; Docker's manifest list reads the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Absent in some OCI indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The manifests, most preferred first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub manifests: Vec<Descriptor>,
    /// Free annotations, in a stable order.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// The manifest for `wanted`: the first entry whose platform is equal, else the first that satisfies it.
    pub fn select(&self, wanted: &Platform) -> Option<&Descriptor> {
        let candidates = || {
            self.manifests.iter().filter_map(|entry| {
                let platform = entry.platform.as_ref()?;
                platform.satisfies(wanted).then_some((entry, platform))
            })
        };
        let exact = |platform: &Platform| {
            Platform::new(
                &platform.os,
                &platform.architecture,
                platform.variant.as_deref(),
            ) == Platform::new(&wanted.os, &wanted.architecture, wanted.variant.as_deref())
        };
        candidates()
            .find(|(_, platform)| exact(platform))
            .or_else(|| candidates().next())
            .map(|(entry, _)| entry)
    }

    /// The platforms on offer, for error messages.
    pub fn platforms(&self) -> Vec<String> {
        self.manifests
            .iter()
            .filter_map(|entry| entry.platform.as_ref())
            .filter(|platform| platform.os != "unknown")
            .map(ToString::to_string)
            .collect()
    }
}

/// What a registry answers for a reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Document {
    /// One image.
    Manifest(Box<Raw<Manifest>>),
    /// Several images by platform.
    Index(Raw<Index>),
}

impl Document {
    /// Reads a manifest or an index. What the bytes say of themselves wins over `content_type`, and a document that claims to be both is refused.
    ///
    /// # Errors
    /// [`Error::Document`] for broken JSON, [`Error::UnexpectedMediaType`] for anything else (schema 1 included).
    pub fn parse(content_type: Option<&str>, bytes: Vec<u8>) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Probe {
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
            layers: Option<serde::de::IgnoredAny>,
            config: Option<serde::de::IgnoredAny>,
        }
        let digest = Digest::of(&bytes);
        let probe: Probe = serde_json::from_slice(&bytes).map_err(|source| Error::Document {
            kind: "manifest",
            digest,
            source,
        })?;
        let content_type = content_type
            .and_then(|text| text.split(';').next())
            .map(str::trim);
        let ambiguous =
            probe.manifests.is_some() && (probe.layers.is_some() || probe.config.is_some());
        let shape = if probe.manifests.is_some() {
            media::OCI_INDEX
        } else {
            media::OCI_MANIFEST
        };
        let media_type = probe
            .media_type
            .as_deref()
            .or(content_type)
            .unwrap_or(shape);
        match media_type {
            _ if ambiguous => {}
            media::OCI_MANIFEST | media::DOCKER_MANIFEST if probe.config.is_some() => {
                return Ok(Self::Manifest(Box::new(Raw::parse("manifest", bytes)?)));
            }
            media::OCI_INDEX | media::DOCKER_INDEX if probe.config.is_none() => {
                return Ok(Self::Index(Raw::parse("index", bytes)?));
            }
            _ => {}
        }
        Err(Error::UnexpectedMediaType {
            digest,
            media_type: media_type.to_owned(),
        })
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Manifest(raw) => raw.digest(),
            Self::Index(raw) => raw.digest(),
        }
    }
}

/// Go writes an empty list as `null`; both mean none.
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(platform: &str, byte: u8) -> Descriptor {
        let mut descriptor =
            Descriptor::new(MediaType::ImageManifest, Digest::from_bytes([byte; 32]), 1);
        descriptor.platform = Some(platform.parse().unwrap());
        descriptor
    }

    fn index(entries: &[(&str, u8)]) -> Index {
        Index {
            schema_version: 2,
            media_type: None,
            manifests: entries
                .iter()
                .map(|(platform, byte)| entry(platform, *byte))
                .collect(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn an_index_gives_the_manifest_of_the_platform() {
        let index = index(&[
            ("linux/arm64", 1),
            ("linux/arm/v6", 2),
            ("linux/arm/v7", 3),
            ("linux/amd64", 4),
        ]);
        let select = |text: &str| {
            index
                .select(&text.parse().unwrap())
                .map(|entry| entry.digest.as_bytes()[0])
        };
        assert_eq!(select("linux/amd64"), Some(4));
        assert_eq!(select("linux/arm/v7"), Some(3));
        assert_eq!(select("linux/arm64/v8"), Some(1));
        assert_eq!(select("linux/s390x"), None);
    }

    #[test]
    fn layers_that_are_null_are_none_t_stage_14() {
        let config = serde_json::to_value(Descriptor::of(MediaType::ImageConfig, b"{}")).unwrap();
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":null}}"#);
        let Document::Manifest(manifest) = Document::parse(None, text.into_bytes()).unwrap() else {
            panic!("not a manifest")
        };
        assert!(manifest.value().layers.is_empty());
    }

    #[test]
    fn a_document_that_is_both_manifest_and_index_is_refused() {
        let config = serde_json::to_value(Descriptor::of(MediaType::ImageConfig, b"{}")).unwrap();
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#);
        Document::parse(Some(media::OCI_INDEX), text.into_bytes()).unwrap_err();
    }

    #[test]
    fn schema_1_is_refused_by_name() {
        let error = Document::parse(
            Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
            br#"{"schemaVersion":1,"fsLayers":[]}"#.to_vec(),
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("manifest.v1+prettyjws"),
            "{error}"
        );
    }

    #[test]
    fn unknown_fields_survive_because_the_bytes_do() {
        let config = serde_json::to_value(Descriptor::of(MediaType::ImageConfig, b"{}")).unwrap();
        let text = format!(r#"{{"x":1,"schemaVersion":2,"config":{config},"layers":[]}}"#);
        let Document::Manifest(raw) = Document::parse(None, text.clone().into_bytes()).unwrap()
        else {
            panic!("not a manifest")
        };
        assert_eq!(raw.bytes(), text.as_bytes());
    }
}
