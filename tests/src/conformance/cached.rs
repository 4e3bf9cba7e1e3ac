//! A case built without a cache, with an empty one and with the one that this left: one image, or one complaint.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::build::{Build, Finished, LAYERS_HERE, Prepared};
use super::case::Case;
use crate::image::digest_of;

/// The time of all builds: after those of the files of the cases, so that some times are kept and others are not.
const EPOCH: &str = "--source-date-epoch=1700000000";

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// All builds made one image, and the last one no layer.
    Same {
        /// Layers of the last build that were in the cache.
        reused: usize,
    },
    /// All builds failed with the same words.
    Fails,
    /// A difference, in words.
    Differs(String),
}

/// What became of all of them.
#[derive(Debug, Default)]
pub struct Comparison {
    /// By the name of the case.
    pub cases: BTreeMap<String, Compared>,
}

/// What a build came to.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// The digests of what the layout names.
    Image(Vec<String>),
    Complaint(String),
}

/// Builds a case three times. Each time nothing is left of the builds before but the cache.
pub fn compare(case: &Case, how: Build<'_>) -> Result<Compared> {
    let cache = format!("--cache-repo=oci:{LAYERS_HERE}");
    let with_cache = [EPOCH, "--cache", "--cache-copy-layers", &cache];
    let prepared = Prepared::make(case, how).context("prepare")?;
    let build = |more: &[&str]| -> Result<(Came, Finished)> {
        let finished = prepared.build_with(case, how, more)?;
        Ok((came(&finished)?, finished))
    };
    let (plain, _) = build(&[EPOCH])?;
    let (first, filling) = build(&with_cache)?;
    if first != plain {
        let what = format!("with an empty cache {first}, without one {plain}");
        return Ok(differs(&what, &filling));
    }
    let (second, last) = build(&with_cache)?;
    if second != first {
        let what = format!("from the cache {second}, without one {plain}");
        return Ok(differs(&what, &last));
    }
    Ok(match second {
        Came::Complaint(_) => Compared::Fails,
        Came::Image(_) if made(&last) > 0 => differs("what is in the cache was made again", &last),
        Came::Image(_) if made(&filling) > 0 && reused(&last) == 0 => {
            differs("nothing was in the cache", &last)
        }
        Came::Image(_) => Compared::Same {
            reused: reused(&last),
        },
    })
}

fn differs(what: &str, finished: &Finished) -> Compared {
    Compared::Differs(format!("{what}\n{}", finished.output))
}

fn came(finished: &Finished) -> Result<Came> {
    if finished.code != 0 {
        let complaint = finished.complaint();
        let lines: Vec<&str> = complaint.lines().map(without_time).collect();
        let text = format!("{}: {}", finished.code, lines.join("\n"));
        return Ok(Came::Complaint(text));
    }
    digests(finished.layout()).map(Came::Image)
}

/// A line of the log without the time in front of it.
fn without_time(line: &str) -> &str {
    let rest = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let is_time = |text: &str| {
        text.trim()
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.'))
    };
    rest.map_or(line, |(time, rest)| if is_time(time) { rest } else { line })
}

/// The digests of everything that a layout names, in order. Each of its blobs is there, and is what its name says.
fn digests(layout: &Path) -> Result<Vec<String>> {
    let index = fs::read(layout.join("index.json")).context("read index.json")?;
    let mut open = described(&serde_json::from_slice(&index)?);
    ensure!(!open.is_empty(), "an empty layout");
    let mut found = Vec::new();
    while let Some(digest) = open.pop() {
        let path = layout.join("blobs").join(digest.replace(':', "/"));
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        ensure!(digest_of(&bytes) == digest, "{digest} is another blob");
        // Of the blobs only manifests and indexes name others; a layer is no JSON.
        open.extend(described(
            &serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ));
        found.push(digest);
    }
    Ok(found)
}

fn described(value: &Value) -> Vec<String> {
    let list = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let descriptors = list("manifests")
        .chain(value.get("config"))
        .chain(list("layers"));
    let digests = descriptors.filter_map(|descriptor| descriptor.get("digest")?.as_str());
    digests.map(str::to_owned).collect()
}

/// Steps whose layer was in the cache.
fn reused(finished: &Finished) -> usize {
    let lines = finished.output.lines();
    lines
        .filter(|line| line.contains("] is in the cache: "))
        .count()
}

/// Steps that made a layer.
fn made(finished: &Finished) -> usize {
    let lines = finished.output.lines();
    let layers = lines.filter(|line| {
        let done = line.split_once("] done in ");
        // The time, and what was made.
        done.is_some_and(|(_, rest)| rest.contains(", "))
    });
    layers.count()
}

impl Comparison {
    /// Cases that differ.
    pub fn failures(&self) -> usize {
        let cases = self.cases.values();
        cases
            .filter(|compared| matches!(compared, Compared::Differs(_)))
            .count()
    }
}

impl fmt::Display for Comparison {
    /// A paragraph for each failure, then the counts.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut images, mut layers, mut failing) = (0, 0, 0);
        for (name, compared) in &self.cases {
            match compared {
                Compared::Same { reused } => {
                    images += 1;
                    layers += reused;
                }
                Compared::Fails => failing += 1,
                Compared::Differs(how) => writeln!(formatter, "FAILED {name}: {how}")?,
            }
        }
        let failures = self.failures();
        writeln!(
            formatter,
            "{images} images with {layers} layers from the cache, {failing} builds that fail, {failures} differ"
        )
    }
}

impl fmt::Display for Came {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(digests) => write!(formatter, "{digests:?}"),
            Self::Complaint(text) => write!(formatter, "the failure `{text}`"),
        }
    }
}
