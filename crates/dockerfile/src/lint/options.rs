//! Which rules run: `skip=A,B;error=true;experimental=C`.

use std::collections::BTreeSet;

use super::rule::{Mode, Rule};
use crate::dockerfile::Comment;

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// An option without a value.
    #[error("check option `{0}` has no `=`")]
    NoValue(String),
    /// An option that does not exist.
    #[error("there is no check option `{0}`: it has skip, error, experimental")]
    Unknown(String),
    /// `error=` with something else than a truth value.
    #[error("check option `error={0}`: neither true nor false")]
    NotBoolean(String),
}

/// A list of rules, or all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Selection {
    all: bool,
    ids: BTreeSet<String>,
}

impl Selection {
    fn parse(text: &str) -> Self {
        let names = text.split(',').map(str::trim);
        Self {
            all: text.trim() == "all",
            ids: names.map(str::to_owned).collect(),
        }
    }
}

/// The value of `# check=` or of the build argument `BUILDKIT_DOCKERFILE_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    skip: Selection,
    experimental: Selection,
    /// `error=true`: a finding fails the build.
    pub error: bool,
}

impl Options {
    /// Reads the value.
    ///
    /// # Errors
    /// [`OptionsError`] for the first option that makes no sense.
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        if text.trim().is_empty() {
            return Ok(options);
        }
        for option in text.split(';') {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| OptionsError::NoValue(option.trim().to_owned()))?;
            match key.trim() {
                "skip" => options.skip = Selection::parse(value),
                "experimental" => options.experimental = Selection::parse(value),
                "error" => options.error = truth(value.trim())?,
                other => return Err(OptionsError::Unknown(other.to_owned())),
            }
        }
        Ok(options)
    }

    /// Whether a rule runs. `skip` does not reach experimental rules, which somebody asked for.
    pub(super) fn runs(&self, rule: &Rule, requested: &[String]) -> bool {
        let named = |list: &Selection| list.ids.contains(rule.id);
        let requested = requested.iter().any(|id| id == rule.id || id == "all");
        match rule.mode {
            Mode::Always => !self.skips(rule),
            Mode::Experimental => requested || self.experimental.all || named(&self.experimental),
            Mode::OnRequest(_) => (requested || named(&self.experimental)) && !self.skips(rule),
        }
    }

    fn skips(&self, rule: &Rule) -> bool {
        self.skip.all || self.skip.ids.contains(rule.id)
    }
}

/// Go's `strconv.ParseBool`.
fn truth(text: &str) -> Result<bool, OptionsError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(OptionsError::NotBoolean(other.to_owned())),
    }
}

/// Whether the comments above an instruction silence a rule there.
pub(super) fn is_silenced(rule: &Rule, comments: &[Comment]) -> bool {
    let by_check = comments.iter().find_map(|comment| check(&comment.text));
    // Only the first counts, and one that makes no sense is a comment like any other.
    by_check
        .and_then(|value| Options::parse(value).ok())
        .is_some_and(|options| options.skips(rule))
        || pragma(comments).is_some_and(|ids| ids.contains(&rule.id))
}

/// The ids of the `hadolint ignore=` comment directly above an instruction; only a `check=` may stand in between.
fn pragma(comments: &[Comment]) -> Option<Vec<&str>> {
    let mut above = comments.iter().rev();
    let nearest = above.find(|comment| check(&comment.text).is_none())?;
    hadolint(&nearest.text, &["ignore"])
}

/// Whether the comments above an instruction ask for an experimental rule there.
pub(super) fn is_requested(rule: &Rule, comments: &[Comment]) -> bool {
    let value = comments.iter().find_map(|comment| check(&comment.text));
    let options = value.and_then(|value| Options::parse(value).ok());
    options.is_some_and(|options| {
        rule.mode != Mode::Always && options.experimental.ids.contains(rule.id)
            || rule.mode == Mode::Experimental && options.experimental.all
    })
}

/// The value of `check=…` in a comment.
fn check(comment: &str) -> Option<&str> {
    let (key, value) = comment.split_once('=')?;
    key.trim()
        .eq_ignore_ascii_case("check")
        .then(|| value.trim())
}

/// The ids of `hadolint WORDS=ID,ID`; none if anything else stands in the comment.
pub(super) fn hadolint<'c>(comment: &'c str, words: &[&str]) -> Option<Vec<&'c str>> {
    let (key, value) = comment.split_once('=')?;
    let mut key = key.split_whitespace();
    if key.next() != Some("hadolint") || !key.eq(words.iter().copied()) {
        return None;
    }
    let ids: Vec<&str> = value.split(',').map(str::trim).collect();
    let is_id = |id: &&str| id.chars().all(|c| c.is_ascii_alphanumeric());
    ids.iter().all(is_id).then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_separated_by_semicolons_and_ids_by_commas() {
        let options = Options::parse(" skip = A , B ; error = true;experimental=all ").unwrap();
        assert_eq!(options.skip.ids.iter().collect::<Vec<_>>(), ["A", "B"]);
        assert!(options.error && options.experimental.all && !options.skip.all);
        assert_eq!(Options::parse("").unwrap(), Options::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        for (text, named) in [
            ("skip", "skip"),
            ("skip=A;", ""),
            ("skp=A", "skp"),
            ("error=maybe", "maybe"),
        ] {
            let error = Options::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn hadolint_comments_have_ids_and_nothing_else() {
        for (text, wanted) in [
            (
                "hadolint ignore=DL3006,SC2086",
                Some(vec!["DL3006", "SC2086"]),
            ),
            (
                "hadolint  ignore = DL3006 , DL3007",
                Some(vec!["DL3006", "DL3007"]),
            ),
            ("hadolint ignore=DL3006 because", None),
            ("hadolint global ignore=DL3006", None),
            ("hadolint shell=bash", None),
            ("ignore=DL3006", None),
        ] {
            assert_eq!(hadolint(text, &["ignore"]), wanted, "{text}");
        }
    }
}
