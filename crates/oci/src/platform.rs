use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Operating system and processor of an image. image-spec v1.1 image-index.md § `platform`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Platform {
    /// GOARCH: `amd64`, `arm64`, …
    pub architecture: String,
    /// GOOS: `linux`.
    pub os: String,
    /// `os.version`, used by Windows images only.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// `os.features`.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// `v7` in `linux/arm/v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// A platform from its three usual parts, in the spelling that images use (`x86_64` becomes `amd64`).
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = os.to_ascii_lowercase();
        let os = if os == "macos" {
            "darwin".to_owned()
        } else {
            os
        };
        let (architecture, variant) = normalise(
            &architecture.to_ascii_lowercase(),
            variant.map(str::to_ascii_lowercase),
        );
        Self {
            architecture,
            os,
            os_version: None,
            os_features: Vec::new(),
            variant,
        }
    }

    /// The platform this program was compiled for.
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }

    /// Whether an image of `self` runs where `wanted` is asked for: equal, with variants compared only when both are
    /// given.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let (ours, theirs) = (
            Self::new(&self.os, &self.architecture, self.variant.as_deref()),
            Self::new(&wanted.os, &wanted.architecture, wanted.variant.as_deref()),
        );
        ours.os == theirs.os
            && ours.architecture == theirs.architecture
            && (ours.variant == theirs.variant
                || ours.variant.is_none()
                || theirs.variant.is_none())
    }
}

/// The spellings of an architecture that the field uses, as one. The rules are containerd's, so that an index selects the same entry.
fn normalise(architecture: &str, variant: Option<String>) -> (String, Option<String>) {
    match (architecture, variant.as_deref()) {
        ("i386" | "i486" | "i586" | "i686" | "x86" | "386", _) => ("386".into(), None),
        ("x86_64" | "x86-64" | "amd64", Some("v1") | None) => ("amd64".into(), None),
        ("x86_64" | "x86-64" | "amd64", Some(_)) => ("amd64".into(), variant),
        ("aarch64" | "arm64", Some("8" | "v8") | None) => ("arm64".into(), None),
        ("aarch64" | "arm64", Some(_)) => ("arm64".into(), variant),
        ("armhf", _) | ("arm", None | Some("" | "7")) => ("arm".into(), Some("v7".into())),
        ("armel", _) => ("arm".into(), Some("v6".into())),
        ("arm", Some("5" | "6" | "8")) => ("arm".into(), variant.map(|v| format!("v{v}"))),
        ("powerpc64le" | "ppc64el", _) => ("ppc64le".into(), variant),
        (other, _) => (other.into(), variant),
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let well_formed = parts.iter().all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        });
        match (parts.as_slice(), well_formed) {
            ([os, architecture], true) => Ok(Self::new(os, architecture, None)),
            ([os, architecture, variant], true) => Ok(Self::new(os, architecture, Some(variant))),
            // COMPAT(buildkit): a lone word is an operating system or an architecture.
            ([word], true) if matches!(*word, "linux" | "windows" | "darwin") => {
                Ok(Self::new(word, std::env::consts::ARCH, None))
            }
            ([word], true) if known_architecture(word) => Ok(Self::new("linux", word, None)),
            _ => Err(Error::MalformedPlatform {
                text: text.to_owned(),
            }),
        }
    }
}

fn known_architecture(word: &str) -> bool {
    let (architecture, _) = normalise(&word.to_ascii_lowercase(), None);
    matches!(
        architecture.as_str(),
        "386"
            | "amd64"
            | "arm"
            | "arm64"
            | "loong64"
            | "mips64le"
            | "ppc64le"
            | "riscv64"
            | "s390x"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_parsed_and_printed_in_the_spelling_of_images() {
        let cases = [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("Linux/AMD64", "linux/amd64"),
            ("arm64", "linux/arm64"),
            ("windows/amd64", "windows/amd64"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                text.parse::<Platform>().unwrap().to_string(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn malformed_platforms_are_refused() {
        for text in [
            "",
            "/",
            "linux/",
            "linux//v7",
            "a/b/c/d",
            "nonsense",
            "linux/a b",
        ] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_missing_variant_satisfies_any() {
        let wanted: Platform = "linux/arm/v7".parse().unwrap();
        let plain = Platform {
            architecture: "arm".into(),
            os: "linux".into(),
            os_version: None,
            os_features: Vec::new(),
            variant: None,
        };
        assert!(plain.satisfies(&wanted));
        assert!(!Platform::new("linux", "arm", Some("v6")).satisfies(&wanted));
        assert!(!Platform::new("linux", "amd64", None).satisfies(&wanted));
    }
}
