//! `.dockerignore` and `COPY --exclude`: which paths are left out.
//!
//! Paths are relative, with `/`, without `.` and `..`. Patterns are tried in order and the last one that applies wins;
//! a pattern that applies to a directory applies to everything below it; `!` turns a pattern into an exception.
//!
//! COMPAT(buildkit): what applies to a directory is decided where the directory is met, from the top. An exception
//! that has nothing to take back at the directory is not remembered for its children: after `d/x` and `!d`, the path
//! `d/x` is excluded, because `!d` had no effect at `d`.
//!
//! Specification: Dockerfile reference § .dockerignore file.

mod pattern;

#[cfg(test)]
mod tests;

use pattern::Pattern;

pub use crate::glob::BadPattern;

/// Patterns in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    patterns: Vec<Pattern>,
}

/// Why a `.dockerignore` file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IgnoreError {
    /// A line that is no pattern.
    #[error("line {line}")]
    Pattern {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: BadPattern,
    },
    /// A line that is no text.
    #[error("line {line}: not UTF-8")]
    Encoding {
        /// The line, from 1.
        line: usize,
    },
}

/// What is known about one path: whether it is excluded, and what its children need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    excluded: bool,
    /// For every pattern, whether it applies here.
    applies: Vec<bool>,
}

impl Verdict {
    /// Whether the path itself is left out. Something below it may still be wanted:
    /// [`Patterns::may_include_below`].
    #[must_use]
    pub fn is_excluded(&self) -> bool {
        self.excluded
    }
}

impl Patterns {
    /// Reads a `.dockerignore` file: blanks around a pattern are dropped, `#` in the first column makes a comment, a
    /// leading `/` has no meaning, patterns are cleaned like paths. A byte order mark at the beginning is skipped.
    ///
    /// # Errors
    ///
    /// When a line is a lone `!`, a malformed pattern or not UTF-8.
    pub fn parse_file(content: &[u8]) -> Result<Self, IgnoreError> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let mut patterns = Vec::new();
        for (line, text) in (1..).zip(content.split(|byte| *byte == b'\n')) {
            if text.starts_with(b"#") {
                continue;
            }
            let text = std::str::from_utf8(text)
                .map_err(|_| IgnoreError::Encoding { line })?
                .trim();
            if text.is_empty() {
                continue;
            }
            let (mark, path) = match text.strip_prefix('!') {
                Some(rest) => ("!", rest.trim()),
                None => ("", text),
            };
            let path = if path.is_empty() {
                String::new()
            } else {
                clean(path)
            };
            let path = path
                .strip_prefix('/')
                .filter(|rest| !rest.is_empty())
                .unwrap_or(&path);
            let pattern = Pattern::parse(&format!("{mark}{path}"));
            patterns.push(pattern.map_err(|source| IgnoreError::Pattern { line, source })?);
        }
        Ok(Self { patterns })
    }

    /// Takes patterns one by one, as `--exclude` gives them: trimmed and cleaned, empty ones dropped.
    ///
    /// # Errors
    ///
    /// When one is a lone `!` or malformed.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Self, BadPattern> {
        let trimmed = patterns
            .into_iter()
            .map(str::trim)
            .filter(|pattern| !pattern.is_empty());
        let patterns = trimmed.map(|pattern| Pattern::parse(&clean(pattern)));
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>()?,
        })
    }

    /// Whether there is nothing to match.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether there are exceptions.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_exception)
    }

    /// Decides about an entry of a directory. `parent` is the verdict about that directory; `None` at the top.
    #[must_use]
    pub fn judge(&self, path: &[u8], parent: Option<&Verdict>) -> Verdict {
        let mut excluded = false;
        let mut applies = Vec::with_capacity(self.patterns.len());
        for (index, pattern) in self.patterns.iter().enumerate() {
            let inherited = parent.and_then(|parent| parent.applies.get(index)) == Some(&true);
            // A pattern that would change nothing is not looked at, which is why it is not inherited either.
            let matters = pattern.is_exception == excluded;
            let hit = inherited || (matters && pattern.matches(path));
            if hit {
                excluded = !pattern.is_exception;
            }
            applies.push(hit);
        }
        Verdict { excluded, applies }
    }

    /// Whether a path is excluded, judging all directories above it first.
    #[must_use]
    pub fn excludes(&self, path: &[u8]) -> bool {
        let mut verdict = None;
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            verdict = Some(self.judge(path.get(..end).unwrap_or(path), verdict.as_ref()));
        }
        verdict.is_some_and(|verdict| verdict.excluded)
    }

    /// Whether a pattern without an exception excludes everything: `*`, `**` or `**/*`.
    pub(crate) fn exclude_everything(&self) -> bool {
        let everything = ["*", "**", "**/*"].map(Pattern::parse);
        let mut everything = everything.iter().flatten();
        everything.any(|one| self.patterns.contains(one))
    }

    /// Whether a pattern means a path or a directory above it, as `docker build --check` asks it: of the directories
    /// only the one that is as deep as the pattern is looked at.
    pub(crate) fn names_or_holds(&self, path: &str) -> bool {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let parents: Vec<&str> = parent.split('/').collect();
        self.patterns.iter().any(|pattern| {
            let above = parents.get(..pattern.depth);
            let above = above.map(|above| above.join("/"));
            pattern.matches(path.as_bytes())
                || !parent.is_empty()
                    && above.is_some_and(|above| pattern.matches(above.as_bytes()))
        })
    }

    /// Whether anything below an excluded directory can be re-included by an exception; if not, the directory need not
    /// be read. May be true although nothing that exists is re-included. Always true below a directory that is not
    /// excluded.
    #[must_use]
    pub fn may_include_below(&self, directory: &[u8], verdict: &Verdict) -> bool {
        if !verdict.excluded {
            return true;
        }
        // Exceptions in front of the pattern that excludes the directory are overruled for everything below it.
        let decisive = verdict
            .applies
            .iter()
            .rposition(|applies| *applies)
            .unwrap_or(0);
        let later = self.patterns.iter().skip(decisive);
        let mut below = directory.to_vec();
        below.push(b'/');
        later
            .filter(|pattern| pattern.is_exception)
            .any(|pattern| pattern.may_match_below(&below))
    }
}

/// Cleans a path as Go's `filepath.Clean` does: no `.`, no `//`, `..` resolved where possible, no `/` at the end.
#[must_use]
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if rooted => {}
            other => kept.push(other),
        }
    }
    let joined = kept.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
