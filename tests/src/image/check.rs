//! The strict checker: what must hold of every image that kigumi writes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde_json::Value;

use super::read::digest_of;
use super::{Descriptor, Document, Entry, Image, Kind, Layer, normalise};

impl Image {
    /// Fails with every problem found; see [`Image::problems`].
    pub fn strict(&self) -> Result<()> {
        let problems = self.problems();
        if problems.is_empty() {
            return Ok(());
        }
        bail!(
            "{} is not a correct image:\n  {}",
            self.name,
            problems.join("\n  ")
        )
    }

    /// Everything that is wrong, in words: digests and sizes, `diff_ids` against layers, history
    /// against layers, and the archives of the layers.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.document_problems();
        for (index, layer) in self.layers.iter().enumerate() {
            problems.extend(
                layer
                    .problems()
                    .into_iter()
                    .map(|problem| format!("layer {index}: {problem}")),
            );
        }
        problems
    }

    fn document_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let manifest = &self.manifest.value;
        if manifest.get("schemaVersion") != Some(&Value::from(2)) {
            problems.push("manifest: schemaVersion is not 2".to_owned());
        }
        let inner = manifest.get("mediaType").and_then(Value::as_str);
        let outer = self.manifest.expected.media_type.as_str();
        if inner.is_some_and(|inner| inner != outer) {
            problems.push(format!("manifest: mediaType {inner:?}, served as {outer}"));
        }
        problems.extend(family_problem(outer, self));
        problems.extend(document_problem("manifest", &self.manifest));
        problems.extend(document_problem("config", &self.config));
        let config = &self.config.value;
        for field in ["architecture", "os"] {
            let text = config
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default();
            if text.is_empty() {
                problems.push(format!("config: no {field}"));
            }
        }
        problems.extend(diff_id_problems(config, &self.layers));
        problems.extend(history_problem(config, self.layers.len()));
        problems
    }
}

fn document_problem(what: &str, document: &Document) -> Option<String> {
    let Descriptor { digest, size, .. } = &document.expected;
    let found = digest_of(&document.bytes);
    let found_size = document.bytes.len() as u64;
    (found != *digest || found_size != *size)
        .then(|| format!("{what}: expected {digest} ({size}), found {found} ({found_size})"))
}

/// OCI and Docker media types must not be mixed in one manifest.
fn family_problem(manifest_type: &str, image: &Image) -> Option<String> {
    let is_oci = manifest_type.starts_with("application/vnd.oci.");
    let family = if is_oci {
        "application/vnd.oci."
    } else {
        "application/vnd.docker."
    };
    let parts = std::iter::once(&image.config.expected.media_type).chain(
        image
            .layers
            .iter()
            .map(|layer| &layer.descriptor.media_type),
    );
    let strangers: Vec<_> = parts
        .filter(|media_type| !media_type.starts_with(family))
        .collect();
    (!strangers.is_empty()).then(|| format!("{manifest_type} with {strangers:?}"))
}

fn diff_id_problems(config: &Value, layers: &[Layer]) -> Vec<String> {
    let mut problems = Vec::new();
    if config.pointer("/rootfs/type") != Some(&Value::from("layers")) {
        problems.push("config: rootfs.type is not `layers`".to_owned());
    }
    let ids = config.pointer("/rootfs/diff_ids").and_then(Value::as_array);
    let ids: Vec<_> = ids
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if ids.len() != layers.len() {
        problems.push(format!(
            "config: {} diff_ids for {} layers",
            ids.len(),
            layers.len()
        ));
    }
    for (index, (id, layer)) in ids.iter().zip(layers).enumerate() {
        if *id != layer.diff_id {
            problems.push(format!(
                "diff_id {index} is {id}, the layer has {}",
                layer.diff_id
            ));
        }
    }
    problems
}

fn history_problem(config: &Value, layers: usize) -> Option<String> {
    let history = config.get("history").and_then(Value::as_array)?;
    let filled = history
        .iter()
        .filter(|entry| entry.get("empty_layer").and_then(Value::as_bool) != Some(true))
        .count();
    (filled != layers).then(|| format!("history has {filled} layers, the image {layers}"))
}

impl Layer {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let Descriptor {
            digest,
            size,
            media_type,
        } = &self.descriptor;
        if self.digest != *digest || self.size != *size {
            let (found, found_size) = (&self.digest, self.size);
            problems.push(format!(
                "expected {digest} ({size}), found {found} ({found_size})"
            ));
        }
        let said = match media_type.rsplit(['.', '+']).next() {
            Some("gzip") => "gzip",
            Some("zstd") => "zstd",
            _ => "none",
        };
        if said != self.compression {
            problems.push(format!("{media_type} holds {} data", self.compression));
        }
        if self.trailing_garbage {
            problems.push("bytes after the end of the archive".to_owned());
        }
        problems.extend(entry_problems(&self.entries));
        problems
    }
}

fn entry_problems(entries: &[Entry]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<String, &Entry> = BTreeMap::new();
    let mut whiteouts = BTreeSet::new();
    for entry in entries {
        let Some(name) = normalise(&entry.name) else {
            problems.push(format!("`{}` is absolute or leaves the root", entry.name));
            continue;
        };
        if let Some(problem) = whiteout_problem(entry, &name) {
            problems.push(problem);
        }
        if entry.kind == Kind::Other {
            problems.push(format!("`{name}` is of an unknown kind"));
        }
        if let Some(problem) = hard_link_problem(entry, &seen) {
            problems.push(problem);
        }
        if let Some(hidden) = hidden_by(&name) {
            whiteouts.insert(hidden);
        }
        if seen.insert(name.clone(), entry).is_some() {
            problems.push(format!("`{name}` appears twice"));
        }
    }
    for hidden in &whiteouts {
        if seen.contains_key(hidden) {
            problems.push(format!("`{hidden}` is both present and whited out"));
        }
    }
    problems.extend(parent_problems(&seen));
    problems
}

/// The path that a whiteout hides; nothing for other names and for opaque marks.
fn hidden_by(name: &str) -> Option<String> {
    let (parent, base) = name.rsplit_once('/').unwrap_or(("", name));
    let hidden = base
        .strip_prefix(".wh.")
        .filter(|_| base != ".wh..wh..opq")?;
    Some(if parent.is_empty() {
        hidden.to_owned()
    } else {
        format!("{parent}/{hidden}")
    })
}

fn whiteout_problem(entry: &Entry, name: &str) -> Option<String> {
    let base = name.rsplit('/').next().unwrap_or(name);
    let hidden = base.strip_prefix(".wh.")?;
    if hidden.is_empty() || hidden == "." || hidden == ".." {
        return Some(format!("`{name}` whites out nothing that has a name"));
    }
    if hidden.starts_with(".wh.") && base != ".wh..wh..opq" {
        return Some(format!("`{name}` is a reserved name"));
    }
    (entry.kind != Kind::File || entry.size != 0)
        .then(|| format!("`{name}` is a whiteout but not an empty regular file"))
}

fn hard_link_problem(entry: &Entry, earlier: &BTreeMap<String, &Entry>) -> Option<String> {
    if entry.kind != Kind::HardLink {
        return None;
    }
    let target = entry.link.as_deref().unwrap_or_default();
    let found = normalise(target).and_then(|target| earlier.get(&target).copied());
    let found = found.filter(|found| !matches!(found.kind, Kind::Directory | Kind::Other));
    let Some(found) = found else {
        return Some(format!(
            "`{}` links to `{target}`, which is no earlier file",
            entry.name
        ));
    };
    // Unpackers apply what a link's own header says to the file that both names share.
    let attributes = |entry: &Entry| (entry.mode, entry.uid, entry.gid);
    (attributes(found) != attributes(entry))
        .then(|| format!("`{}` has another mode or owner than `{target}`", entry.name))
}

/// Nothing may lie below an entry of the same layer that is not a directory.
fn parent_problems(seen: &BTreeMap<String, &Entry>) -> Vec<String> {
    let parents = |name: &str| {
        let ends: Vec<usize> = name.match_indices('/').map(|(at, _)| at).collect();
        ends.into_iter()
            .map(|end| name.split_at(end).0.to_owned())
            .collect::<Vec<_>>()
    };
    seen.keys()
        .flat_map(|name| parents(name).into_iter().map(move |parent| (name, parent)))
        .filter(|(_, parent)| {
            seen.get(parent)
                .is_some_and(|entry| entry.kind != Kind::Directory)
        })
        .map(|(name, parent)| format!("`{name}` lies below `{parent}`, which is no directory"))
        .collect()
}
