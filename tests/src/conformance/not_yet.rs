//! `not-yet.txt`: cases whose feature does not exist yet.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// By case, what the refusal has to say.
#[derive(Debug, Clone, Default)]
pub struct NotYet {
    refusals: BTreeMap<String, String>,
}

impl NotYet {
    /// Reads lines of the form `case: words of the refusal`; `#` begins a comment.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let mut refusals = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (case, words) = line
                .split_once(": ")
                .with_context(|| format!("line `{line}`"))?;
            ensure!(
                ["not implemented yet", "not supported yet"]
                    .iter()
                    .any(|end| words.ends_with(end)),
                "{case}: a refusal says that something is not supported yet"
            );
            let old = refusals.insert(case.to_owned(), words.to_owned());
            ensure!(old.is_none(), "{case} is listed twice");
        }
        Ok(Self { refusals })
    }

    /// What the refusal of a case has to say.
    pub fn refusal(&self, case: &str) -> Option<&str> {
        self.refusals.get(case).map(String::as_str)
    }

    /// The cases.
    pub fn cases(&self) -> impl Iterator<Item = &str> {
        self.refusals.keys().map(String::as_str)
    }
}
