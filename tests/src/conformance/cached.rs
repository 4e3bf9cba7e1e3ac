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
    /// All builds made one image.
    Same {
        /// Layers of the last build that were in the cache.
        reused: usize,
        /// Layers that it made all the same.
        made: usize,
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

/// Builds a case three times. `unsteady`: its RUNs do not make the same twice, so that builds without a cache differ, too; what came
/// out of the cache must be what was put into it all the same.
pub(crate) fn compare(case: &Case, how: Build<'_>, unsteady: bool) -> Result<Compared> {
    let cache = format!("--cache-repo=oci:{LAYERS_HERE}");
    let with_cache = [EPOCH, "--cache", "--cache-copy-layers", &cache];
    let prepared = Prepared::make(case, how).context("prepare")?;
    let build = |more: &[&str]| -> Result<(Came, Finished)> {
        let finished = prepared.build_with(case, how, more)?;
        Ok((came(&finished)?, finished))
    };
    // Also of those without a cache: a pod has the directory then, and nobody looks into it.
    let (plain, _) = build(&[EPOCH])?;
    let (first, filling) = build(&with_cache)?;
    let (second, last) = build(&with_cache)?;
    if unsteady {
        let (again, _) = build(&[EPOCH])?;
        if again == plain {
            return differs(
                "listed as unsteady, but two builds without a cache agree",
                &last,
            );
        }
    } else if first != plain {
        return differs(
            &format!("with an empty cache {first}, without {plain}"),
            &filling,
        );
    }
    if second != first {
        return differs(&format!("from the cache {second}, before {first}"), &last);
    }
    Ok(match second {
        Came::Complaint(_) => Compared::Fails,
        Came::Image(_) => {
            let (reused, made) = (reused(&last), made(&last));
            if reused == 0 && self::made(&filling) > 0 {
                return differs("nothing was in the cache", &last);
            }
            Compared::Same { reused, made }
        }
    })
}

fn differs(what: &str, finished: &Finished) -> Result<Compared> {
    Ok(Compared::Differs(format!("{what}\n{}", finished.output)))
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

    /// Cases of which the last build made a layer again, in order.
    pub fn made_again(&self) -> Vec<&str> {
        let cases = self.cases.iter().filter(|(_, compared)| match compared {
            Compared::Same { made, .. } => *made > 0,
            Compared::Fails | Compared::Differs(_) => false,
        });
        cases.map(|(name, _)| name.as_str()).collect()
    }
}

impl fmt::Display for Comparison {
    /// A paragraph for each failure, then the counts.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut images, mut layers, mut again, mut failing) = (0, 0, 0, 0);
        for (name, compared) in &self.cases {
            match compared {
                Compared::Same { reused, made } => {
                    images += 1;
                    layers += reused;
                    again += made;
                }
                Compared::Fails => failing += 1,
                Compared::Differs(how) => writeln!(formatter, "FAILED {name}: {how}")?,
            }
        }
        let failures = self.failures();
        writeln!(
            formatter,
            "{images} images with {layers} layers from the cache and {again} made again, {failing} builds that fail, {failures} differ"
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
