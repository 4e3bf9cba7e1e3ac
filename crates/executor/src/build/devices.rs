//! `RUN --device`: the pod has the nodes that its device plugin gave it; a CDI specification says which belong to a name.
//!
//! Container Device Interface specification 1.0, files in JSON.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use kigumi_dockerfile::instruction::Device;
use serde::Deserialize;

/// Where specifications are. The second overrides the first.
pub(crate) const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// Longest specification that is read, in bytes. Real ones have some kilobytes.
const LONGEST: u64 = 4 << 20;

/// The devices that specifications name, as they were before anything was unpacked.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    /// By qualified name, `vendor/class=device`.
    known: BTreeMap<String, Known>,
    /// Specifications that are there and were not understood, with the reason.
    unread: Vec<String>,
}

#[derive(Debug)]
struct Known {
    environment: Vec<(String, String)>,
    /// A node or a mounted file that the pod does not have.
    missing: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Specification {
    kind: String,
    #[serde(default)]
    devices: Vec<Described>,
    #[serde(default, rename = "containerEdits")]
    edits: Edits,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    #[serde(default, rename = "containerEdits")]
    edits: Edits,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Edits {
    env: Vec<String>,
    #[serde(rename = "deviceNodes")]
    nodes: Vec<Node>,
    mounts: Vec<MountedFile>,
}

#[derive(Deserialize)]
struct Node {
    path: PathBuf,
}

#[derive(Deserialize)]
struct MountedFile {
    #[serde(rename = "containerPath")]
    path: PathBuf,
}

impl Devices {
    /// Reads what there is. A specification that cannot be read is no error until somebody wants a device.
    pub(crate) fn read<'a>(directories: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut devices = Self::default();
        for directory in directories {
            let entries = std::fs::read_dir(directory).into_iter().flatten();
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            for file in files {
                devices.add(&file);
            }
        }
        devices
    }

    fn add(&mut self, file: &Path) {
        let extension = file.extension().unwrap_or_default();
        let found = match extension.to_str() {
            Some("json") => specification(file),
            Some("yaml" | "yml") => Err("only JSON is understood".to_owned()),
            _ => return,
        };
        match found {
            Ok(specification) => self.learn(specification),
            Err(reason) => self.unread.push(format!("{}: {reason}", file.display())),
        }
    }

    fn learn(&mut self, specification: Specification) {
        for device in specification.devices {
            let edits = [&specification.edits, &device.edits];
            let mut paths = edits.iter().flat_map(|edits| {
                let nodes = edits.nodes.iter().map(|node| &node.path);
                nodes.chain(edits.mounts.iter().map(|mount| &mount.path))
            });
            let variables = edits.iter().flat_map(|edits| &edits.env);
            let known = Known {
                missing: paths.find(|path| !path.exists()).cloned(),
                environment: variables
                    .filter_map(|text| text.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            };
            let name = format!("{}={}", specification.kind, device.name);
            self.known.insert(name, known);
        }
    }

    /// The variables of a device that the pod has; none for an optional one that it has not.
    pub(crate) fn environment(&self, device: &Device) -> Result<Vec<(String, String)>, String> {
        let found = self.find(&device.name);
        if found.is_empty() && device.required {
            return Err(self.unknown(&device.name));
        }
        let mut environment = Vec::new();
        for (name, known) in found {
            match &known.missing {
                Some(path) if device.required => {
                    return Err(format!(
                        "device `{name}` is not in this pod: there is no `{}`; request it from the device plugin",
                        path.display()
                    ));
                }
                Some(_) => {}
                None => environment.extend(known.environment.iter().cloned()),
            }
        }
        Ok(environment)
    }

    /// `vendor/class=device` is that device, `vendor/class=*` all of the kind, `vendor/class` the first.
    fn find(&self, name: &str) -> Vec<(&str, &Known)> {
        let (kind, which) = name.split_once('=').unwrap_or((name, ""));
        let of_kind = self.known.iter().filter(|(known, _)| {
            let rest = known.strip_prefix(kind);
            rest.is_some_and(|rest| rest.starts_with('='))
        });
        let named = of_kind.map(|(known, device)| (known.as_str(), device));
        match which {
            "*" => named.collect(),
            "" => named.take(1).collect(),
            _ => named.filter(|(known, _)| *known == name).collect(),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let unread = self.unread.iter().map(|text| format!("; {text}"));
        format!(
            "no device `{name}`: no CDI specification in {} names it{}",
            DIRECTORIES.join(" or "),
            unread.collect::<String>()
        )
    }
}

fn specification(file: &Path) -> Result<Specification, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{"cdiVersion": "0.8.0", "kind": "vendor.example/class",
        "containerEdits": {"env": ["ALL=1", "no variable"]},
        "devices": [
            {"name": "b", "containerEdits": {"env": ["B=2=3"], "deviceNodes": [{"path": "/dev/null"}]}},
            {"name": "a", "containerEdits": {"env": ["A=1"], "deviceNodes": [{"path": "/dev/null"}]}}
        ]}"#;

    fn devices(files: &[(&str, &str)]) -> Devices {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Devices::read([directory.path(), Path::new("/no/such/directory")])
    }

    fn asked(devices: &Devices, name: &str, required: bool) -> Result<String, String> {
        let device = Device {
            name: name.to_owned(),
            required,
        };
        let variables = devices.environment(&device)?;
        let shown = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        Ok(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_device_brings_the_variables_of_its_specification() {
        let devices = devices(&[("x.json", TWO), ("notes.txt", "{")]);
        for (name, wanted) in [
            ("vendor.example/class=b", "ALL=1 B=2=3"),
            ("vendor.example/class=*", "ALL=1 A=1 ALL=1 B=2=3"),
            ("vendor.example/class", "ALL=1 A=1"),
            ("vendor.example/cla", ""),
            ("vendor.example/class=c", ""),
        ] {
            assert_eq!(asked(&devices, name, false).unwrap(), wanted, "{name}");
        }
    }

    #[test]
    fn a_required_device_that_no_specification_names_is_an_error_that_says_where_was_looked() {
        let devices = devices(&[("x.yaml", "kind: y"), ("z.json", "{")]);
        let error = asked(&devices, "vendor.example/class=a", true).unwrap_err();
        for words in ["`vendor.example/class=a`", "/etc/cdi", "x.yaml", "z.json"] {
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(
            asked(&devices, "vendor.example/class=a", false).unwrap(),
            ""
        );
    }

    #[test]
    fn a_device_whose_node_the_pod_does_not_have_is_no_device() {
        let text = TWO.replacen("/dev/null", "/dev/no-such-node", 1);
        let devices = devices(&[("x.json", &text)]);
        let error = asked(&devices, "vendor.example/class=b", true).unwrap_err();
        assert!(error.contains("/dev/no-such-node"), "{error}");
        assert_eq!(
            asked(&devices, "vendor.example/class=b", false).unwrap(),
            ""
        );
        asked(&devices, "vendor.example/class=a", true).unwrap();
    }
}
