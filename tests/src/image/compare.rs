//! Two images side by side: the same files and the same config, or a list of differences.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Image, Kind, Node};

/// Differences that are no fault.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    paths: Vec<String>,
    settings: Vec<String>,
    defaults: Vec<(String, Value)>,
    times: bool,
}

impl Allowed {
    /// Everything must be equal, file times apart.
    pub fn nothing() -> Self {
        Self {
            times: true,
            ..Self::default()
        }
    }

    /// These paths and everything below them may differ in any way.
    #[must_use]
    pub fn paths(mut self, paths: &[&str]) -> Self {
        self.paths
            .extend(paths.iter().map(|path| path.trim_matches('/').to_owned()));
        self
    }

    /// These config fields (`config.Labels.x`, `author`) may differ.
    #[must_use]
    pub fn settings(mut self, names: &[&str]) -> Self {
        self.settings
            .extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// A config field that may be absent instead of having this value.
    #[must_use]
    pub fn default_of(mut self, name: &str, value: Value) -> Self {
        self.defaults.push((name.to_owned(), value));
        self
    }

    /// Modification times of regular files must be equal too.
    #[must_use]
    pub fn with_times(mut self) -> Self {
        self.times = false;
        self
    }

    /// Absent, `null`, empty, `false` and the declared default say the same in an image config.
    fn says_nothing(&self, path: &str, value: &Value) -> bool {
        is_nothing(value)
            || self
                .defaults
                .iter()
                .any(|(name, default)| name == path && default == value)
    }

    fn allows_path(&self, path: &str) -> bool {
        self.paths.iter().any(|allowed| {
            path.strip_prefix(allowed.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// Every difference between two images, in words; `left` and `right` name the two in the text.
///
/// Files: kind, mode, owner, content, link target, hard-link groups, devices, extended attributes.
/// Config: everything but `created`, `history` and `rootfs`, which must differ.
pub fn compare(left: &Image, right: &Image, allowed: &Allowed) -> Vec<String> {
    let mut differences = compare_files(left, right, allowed);
    let empty = Map::new();
    let (a, b) = (settings(left, &empty), settings(right, &empty));
    compare_objects("", &a, &b, allowed, &mut differences);
    differences
}

fn compare_files(left: &Image, right: &Image, allowed: &Allowed) -> Vec<String> {
    let (a, b) = (left.flatten(), right.flatten());
    let names: BTreeSet<&String> = a.nodes.keys().chain(b.nodes.keys()).collect();
    let mut differences = Vec::new();
    // An archive may or may not carry an entry for the root.
    for name in names
        .into_iter()
        .filter(|name| !name.is_empty() && !allowed.allows_path(name))
    {
        match (a.nodes.get(name), b.nodes.get(name)) {
            (Some(x), Some(y)) => {
                let (shown_x, shown_y) = (x.describe(name), y.describe(name));
                if shown_x != shown_y {
                    differences.push(format!("{shown_x}\n      is {shown_y}"));
                } else if !allowed.times && times_differ(x, y) {
                    differences.push(format!("/{name}: mtime {} is {}", x.mtime, y.mtime));
                }
            }
            (Some(x), None) => differences.push(format!("only left:  {}", x.describe(name))),
            (None, Some(y)) => differences.push(format!("only right: {}", y.describe(name))),
            (None, None) => {}
        }
    }
    differences
}

fn times_differ(left: &Node, right: &Node) -> bool {
    left.kind == Kind::File && left.mtime != right.mtime
}

/// The comparable part of a config.
fn settings(image: &Image, empty: &Map<String, Value>) -> Map<String, Value> {
    let mut object = image.config.value.as_object().unwrap_or(empty).clone();
    for name in ["created", "history", "rootfs"] {
        object.remove(name);
    }
    object
}

fn compare_objects(
    prefix: &str,
    left: &Map<String, Value>,
    right: &Map<String, Value>,
    allowed: &Allowed,
    differences: &mut Vec<String>,
) {
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for name in names {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        if allowed.settings.contains(&path) {
            continue;
        }
        let (a, b) = (value_or_null(left, name), value_or_null(right, name));
        match (&a, &b) {
            (Value::Object(a), Value::Object(b)) => {
                compare_objects(&path, a, b, allowed, differences);
            }
            _ if allowed.says_nothing(&path, &a) && allowed.says_nothing(&path, &b) => {}
            _ if a == b => {}
            _ => differences.push(format!("{path}: {a} is {b}")),
        }
    }
}

fn value_or_null(object: &Map<String, Value>, name: &str) -> Value {
    object.get(name).cloned().unwrap_or(Value::Null)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}
