//! The comparison, facet by facet.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::build::Finished;
use super::case::Case;
use super::expect::{BuiltImage, Complaint, Expected, LayerFacts};
use super::facts::{Facts, Found};
use super::images::KnownImage;
use crate::Image;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facet {
    /// Built or failed.
    Status,
    /// What the error says.
    Message,
    /// The config, field by field.
    Config,
    /// The merged tree.
    Rootfs,
    /// Entries by layer, and the layers of the base.
    Layers,
    /// Of the config.
    History,
}

/// How a result is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In what.
    pub facet: Facet,
    /// How.
    pub text: String,
}

impl Facet {
    fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Message => "message",
            Self::Config => "config",
            Self::Rootfs => "rootfs",
            Self::Layers => "layers",
            Self::History => "history",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.facet.word(), self.text)
    }
}

/// Compares what was built with what was expected; nothing if all is well.
pub fn judge(
    case: &Case,
    expected: &Expected,
    finished: &Finished,
    images: &BTreeMap<String, Vec<KnownImage>>,
) -> Result<Vec<Difference>> {
    let mut differences = match expected {
        Expected::Failed { error } => judge_failure(error, finished),
        Expected::Built(built) if finished.code == 0 => {
            judge_image(built, &finished.image()?, images, finished)?
        }
        Expected::Platforms { platforms } if finished.code == 0 => {
            judge_platforms(platforms, &finished.images()?, images, finished)?
        }
        Expected::Built(_) | Expected::Platforms { .. } => {
            let text = format!("exit code {}: {}", finished.code, finished.complaint());
            vec![Difference::new(Facet::Status, text)]
        }
    };
    differences.retain(|difference| {
        !case
            .ignore
            .iter()
            .any(|ignored| ignored == difference.facet.word())
    });
    Ok(differences)
}

impl Difference {
    fn new(facet: Facet, text: impl Into<String>) -> Self {
        Self {
            facet,
            text: text.into(),
        }
    }
}

fn judge_failure(expected: &Complaint, finished: &Finished) -> Vec<Difference> {
    if finished.code == 0 {
        return vec![Difference::new(Facet::Status, "was built")];
    }
    let complaint = finished.complaint();
    let mut missing: Vec<String> = expected
        .names
        .iter()
        .filter(|name| !complaint.contains(name.as_str()))
        .map(|name| format!("`{name}`"))
        .collect();
    if let Some(line) = expected.line
        && !points_at(&complaint, line)
    {
        missing.push(format!("line {line}"));
    }
    if missing.is_empty() {
        return Vec::new();
    }
    let text = format!("does not name {}: {complaint}", missing.join(", "));
    vec![Difference::new(Facet::Message, text)]
}

/// Whether a message has `Dockerfile:N` or `line N`.
fn points_at(message: &str, line: u32) -> bool {
    [format!("Dockerfile:{line}"), format!("line {line}")]
        .iter()
        .any(|pointer| {
            message.match_indices(pointer.as_str()).any(|(at, _)| {
                let rest = message.split_at(at + pointer.len()).1;
                !rest.starts_with(|next: char| next.is_ascii_digit())
            })
        })
}

fn judge_platforms(
    expected: &BTreeMap<String, Box<BuiltImage>>,
    found: &BTreeMap<String, Image>,
    images: &BTreeMap<String, Vec<KnownImage>>,
    finished: &Finished,
) -> Result<Vec<Difference>> {
    if !expected.keys().eq(found.keys()) {
        let (given, wanted) = (found.keys(), expected.keys());
        let text = format!("built for {given:?}, expected {wanted:?}");
        return Ok(vec![Difference::new(Facet::Status, text)]);
    }
    let mut differences = Vec::new();
    for (platform, image) in found {
        let Some(expected) = expected.get(platform) else {
            continue;
        };
        for mut difference in judge_image(expected, image, images, finished)? {
            difference.text = format!("{platform}: {}", difference.text);
            differences.push(difference);
        }
    }
    Ok(differences)
}

fn judge_image(
    expected: &BuiltImage,
    image: &Image,
    images: &BTreeMap<String, Vec<KnownImage>>,
    finished: &Finished,
) -> Result<Vec<Difference>> {
    let mut differences: Vec<Difference> = image
        .problems()
        .into_iter()
        .map(|problem| Difference::new(Facet::Layers, problem))
        .collect();
    let found = Found::of(image, expected.base_layers)?;
    let scratch = KnownImage::default();
    let known = images.get(&expected.base).map_or(&[][..], Vec::as_slice);
    let kept = |base: &&KnownImage| {
        base.diff_ids
            .iter()
            .zip(&found.diff_ids)
            .filter(|(a, b)| a == b)
            .count()
            >= expected.base_layers
    };
    let base = known.iter().find(kept);
    if base.is_none() && expected.base_layers > 0 {
        let text = format!(
            "does not keep {} layers of {}",
            expected.base_layers, expected.base
        );
        differences.push(Difference::new(Facet::Layers, text));
    }
    let base = base.unwrap_or(&scratch);
    differences.extend(judge_config(&expected.config, &found.config, finished));
    differences.extend(judge_history(
        &expected.history,
        &found.config,
        base,
        finished,
    ));
    differences.extend(judge_files(expected, &found));
    Ok(differences)
}

fn judge_files(expected: &BuiltImage, found: &Found) -> Vec<Difference> {
    let mut answers = vec![(&expected.layers, &expected.rootfs)];
    answers.extend(expected.variants.iter().map(|variant| {
        let layers = variant.layers.as_ref().unwrap_or(&expected.layers);
        (layers, variant.rootfs.as_ref().unwrap_or(&expected.rootfs))
    }));
    let mut first = None;
    for (layers, rootfs) in answers {
        let mut differences = judge_facts(Facet::Rootfs, rootfs, &found.rootfs);
        differences.extend(judge_layers(layers, &found.layers));
        if differences.is_empty() {
            return differences;
        }
        first.get_or_insert(differences);
    }
    first.unwrap_or_default()
}

fn judge_layers(expected: &[LayerFacts], found: &[Vec<Facts>]) -> Vec<Difference> {
    let mut differences = Vec::new();
    if expected.len() != found.len() {
        let text = format!("{} instead of {}", found.len(), expected.len());
        differences.push(Difference::new(Facet::Layers, text));
    }
    for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
        for mut difference in judge_facts(Facet::Layers, &expected.entries, found) {
            difference.text = format!("{number}: {}", difference.text);
            differences.push(difference);
        }
    }
    differences
}

fn judge_facts(facet: Facet, expected: &[Facts], found: &[Facts]) -> Vec<Difference> {
    let by_path = |facts: &[Facts]| -> BTreeMap<String, Facts> {
        facts
            .iter()
            .map(|facts| (facts.path.clone(), facts.clone()))
            .collect()
    };
    let (wanted, given) = (by_path(expected), by_path(found));
    let mut differences = Vec::new();
    for (path, wanted) in &wanted {
        match given.get(path) {
            None => differences.push(format!("no {wanted}")),
            Some(given) if !given.meets(wanted) => {
                differences.push(format!("{given}, expected {wanted}"));
            }
            Some(_) => {}
        }
    }
    for (_, given) in given.iter().filter(|(path, _)| !wanted.contains_key(*path)) {
        differences.push(format!("unexpected {given}"));
    }
    differences
        .into_iter()
        .map(|text| Difference::new(facet, text))
        .collect()
}

/// Fields of the config that are compared; the rest of it is layers and history.
const CONFIG_FIELDS: &[&str] = &["architecture", "os", "variant", "author"];

fn judge_config(expected: &Value, found: &Value, finished: &Finished) -> Vec<Difference> {
    let mut wanted = Map::new();
    let mut given = Map::new();
    for field in CONFIG_FIELDS {
        insert_present(&mut wanted, field, expected.get(field));
        insert_present(&mut given, field, found.get(field));
    }
    if expected.get("created").is_some() {
        insert_present(&mut wanted, "created", expected.get("created"));
        insert_present(&mut given, "created", found.get("created"));
    }
    wanted.extend(settings(expected.get("config")));
    given.extend(settings(found.get("config")));
    let given = finished.with_placeholders(&Value::Object(given));
    let names = wanted
        .keys()
        .chain(given.as_object().into_iter().flat_map(Map::keys));
    let names: std::collections::BTreeSet<&String> = names.collect();
    names
        .into_iter()
        .filter(|name| wanted.get(*name) != given.get(name.as_str()))
        .map(|name| {
            let show = |value: Option<&Value>| value.unwrap_or(&Value::Null).to_string();
            let text = format!(
                "{name} is {}, expected {}",
                show(given.get(name.as_str())),
                show(wanted.get(name))
            );
            Difference::new(Facet::Config, text)
        })
        .collect()
}

/// Empty values equal absent ones.
fn insert_present(fields: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    let is_empty = match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(values)) => values.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Bool(value)) => !value,
        Some(Value::Number(_)) => false,
    };
    if let (false, Some(value)) = (is_empty, value) {
        fields.insert(name.to_owned(), value.clone());
    }
}

/// The `config` object of a config, normalised.
fn settings(config: Option<&Value>) -> Map<String, Value> {
    let mut settings = Map::new();
    for (name, value) in config.and_then(Value::as_object).into_iter().flatten() {
        let sorted = match (name.as_str(), value) {
            ("ExposedPorts" | "Volumes", Value::Object(fields)) => {
                let mut names: Vec<&String> = fields.keys().collect();
                names.sort();
                json!(names)
            }
            _ => value.clone(),
        };
        if name != "ArgsEscaped" {
            insert_present(&mut settings, name, Some(&sorted));
        }
    }
    settings.entry("WorkingDir").or_insert_with(|| json!("/"));
    settings
}

fn judge_history(
    expected: &[Value],
    config: &Value,
    base: &KnownImage,
    finished: &Finished,
) -> Vec<Difference> {
    let all = config.get("history").and_then(Value::as_array);
    let all = all.map_or(&[][..], Vec::as_slice);
    let (kept, found) = all.split_at(base.history.len().min(all.len()));
    let mut differences = Vec::new();
    if kept != base.history.as_slice() {
        let text = format!("that of the base became {}", json!(kept));
        differences.push(Difference::new(Facet::History, text));
    }
    let found: Vec<Value> = found
        .iter()
        .map(|entry| finished.with_placeholders(entry))
        .collect();
    if expected.len() != found.len() {
        let text = format!("{} entries instead of {}", found.len(), expected.len());
        differences.push(Difference::new(Facet::History, text));
    }
    for (number, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let (wanted, given) = (HistoryFacts::of(expected), HistoryFacts::of(found));
        let given = HistoryFacts {
            created: wanted.created.as_ref().and(given.created),
            ..given
        };
        if wanted != given {
            let text = format!("{number}: {given:?}, expected {wanted:?}");
            differences.push(Difference::new(Facet::History, text));
        }
    }
    differences
}

#[derive(Debug, PartialEq, Eq)]
struct HistoryFacts {
    created_by: String,
    empty_layer: bool,
    created: Option<String>,
}

impl HistoryFacts {
    fn of(entry: &Value) -> Self {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let created_by = text("created_by").unwrap_or_default();
        Self {
            created_by: created_by.trim_end_matches(" # buildkit").to_owned(),
            empty_layer: entry
                .get("empty_layer")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            created: text("created").map(str::to_owned),
        }
    }
}
