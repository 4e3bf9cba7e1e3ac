//! What a rule is.

use std::fmt;

use serde::Serialize;

use super::report::Reporter;
use super::subject::Subject;

/// How much a finding matters. Not [`crate::Severity`]: even an error of a rule does not keep a file from being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Style.
    Info,
    /// Probably not what was meant.
    Warning,
    /// Almost certainly not what was meant, or dangerous.
    Error,
}

impl Level {
    /// As flags and logs write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a rule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Unless it is skipped.
    Always,
    /// Only when it is named, or with `experimental=all`.
    Experimental,
    /// Only when it is named; the text says why.
    OnRequest(&'static str),
}

/// Whether a rule looks at the text alone or at what the text means for a build. Findings of the first kind are told
/// first, as `docker build` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The text alone, all of it.
    Parsing,
    /// Variables, stages, images, the context.
    Building,
}

/// What an example of a rule is linted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Nothing.
    Nothing,
    /// A `.dockerignore` of this content.
    Ignore(&'static str),
    /// A base image of this platform.
    BasePlatform(&'static str),
    /// `--build-arg`.
    BuildArgument(&'static str, &'static str),
    /// The registries that are allowed.
    TrustedRegistry(&'static str),
    /// `--tier=restricted`.
    Restricted,
}

/// A pair of Dockerfiles: the rule fires on the first and is silent on the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// What both are linted with.
    pub given: Given,
    /// The rule fires.
    pub bad: &'static str,
    /// The rule is silent.
    pub good: &'static str,
}

/// One rule: its identity, its page, and the check.
#[derive(Clone, Copy)]
pub struct Rule {
    /// As users write it in `# check=skip=` and `# hadolint ignore=`.
    pub id: &'static str,
    /// How much its findings matter.
    pub level: Level,
    /// When it runs.
    pub mode: Mode,
    /// What it looks at.
    pub phase: Phase,
    /// What it wants, in one line without a full stop.
    pub summary: &'static str,
    /// Why, in a sentence or two.
    pub why: &'static str,
    /// Good and bad.
    pub example: Example,
    pub(super) check: fn(&Subject<'_>, &mut Reporter<'_>),
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.id).finish()
    }
}

/// Whose rule it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// `docker build --check`.
    BuildKit,
    /// hadolint: the id and the meaning.
    Hadolint,
    /// Our own.
    Kigumi,
}

impl Rule {
    /// Whose rule it is.
    #[must_use]
    pub fn family(&self) -> Family {
        if self.id.starts_with("DL") {
            Family::Hadolint
        } else if self.id.starts_with("KX") {
            Family::Kigumi
        } else {
            Family::BuildKit
        }
    }

    /// The page of whoever invented the rule; none for our own, which are in `docs/lint.md`.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        match self.family() {
            // BuildKit has no page for this one.
            Family::BuildKit if self.id == "InvalidBaseImagePlatform" => None,
            Family::BuildKit => Some(format!(
                "https://docs.docker.com/go/dockerfile/rule/{}/",
                kebab(self.id)
            )),
            Family::Hadolint => Some(format!(
                "https://github.com/hadolint/hadolint/wiki/{}",
                self.id
            )),
            Family::Kigumi => None,
        }
    }
}

/// `JSONArgsRecommended` as `json-args-recommended`.
fn kebab(id: &str) -> String {
    let characters: Vec<char> = id.chars().collect();
    let mut text = String::new();
    for (index, character) in characters.iter().enumerate() {
        let previous = index.checked_sub(1).and_then(|at| characters.get(at));
        let next = characters.get(index + 1);
        let begins_word = character.is_ascii_uppercase()
            && previous.is_some_and(|previous| {
                previous.is_ascii_lowercase() || next.is_some_and(char::is_ascii_lowercase)
            });
        if begins_word {
            text.push('-');
        }
        text.push(character.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_addresses_word_by_word() {
        for (id, wanted) in [
            ("JSONArgsRecommended", "json-args-recommended"),
            ("FromAsCasing", "from-as-casing"),
            ("InvalidDefaultArgInFrom", "invalid-default-arg-in-from"),
            ("UndefinedVar", "undefined-var"),
        ] {
            assert_eq!(kebab(id), wanted);
        }
    }
}
