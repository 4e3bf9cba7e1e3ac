//! `not-yet.txt`: cases whose feature does not exist yet.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// How a refusal ends: what is refused for another reason is an error like any other.
const ENDS: [&str; 2] = ["not implemented yet", "not supported yet"];

/// By case, what the refusal has to say.
#[derive(Debug, Clone, Default)]
pub struct NotYet {
    refusals: BTreeMap<String, Refusal>,
}

/// What a message has to say, in this order and on one line: it may have the user's words in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    parts: Vec<String>,
}

impl Refusal {
    fn parse(text: &str) -> Result<Self> {
        ensure!(
            ENDS.iter().any(|end| text.ends_with(end)),
            "`{text}`: a refusal says that something is not supported yet"
        );
        Ok(Self {
            parts: text.split(" … ").map(str::to_owned).collect(),
        })
    }

    /// Whether the message says it.
    pub fn is_in(&self, message: &str) -> bool {
        message.lines().any(|line| {
            let rest = self.parts.iter().try_fold(line, |line, part| {
                line.split_once(part.as_str()).map(|(_, rest)| rest)
            });
            rest.is_some()
        })
    }
}

impl NotYet {
    /// Reads refusals, a line each, and below each of them the cases, indented. `#` begins a comment.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let mut refusals = BTreeMap::new();
        let mut current = None;
        for line in text.lines() {
            let words = line.trim();
            if words.is_empty() || words.starts_with('#') {
                continue;
            }
            if !line.starts_with(' ') {
                current = Some(Refusal::parse(words)?);
                continue;
            }
            let refusal = current.clone();
            let refusal = refusal.with_context(|| format!("`{words}` has no refusal above it"))?;
            let old = refusals.insert(words.to_owned(), refusal);
            ensure!(old.is_none(), "`{words}` is listed twice");
        }
        Ok(Self { refusals })
    }

    /// What the refusal of a case has to say.
    pub fn refusal(&self, case: &str) -> Option<&Refusal> {
        self.refusals.get(case)
    }

    /// The cases.
    pub fn cases(&self) -> impl Iterator<Item = &str> {
        self.refusals.keys().map(String::as_str)
    }
}

/// Whether an error is that something does not exist yet. That is no answer to a case that expects an error.
pub(crate) fn is_refusal(message: &str) -> bool {
    ENDS.iter().any(|end| message.contains(end))
}
