//! Word syntax: quotes, escapes and `$` substitutions, exactly as `BuildKit`'s shell lexer reads them.
//!
//! Looks like a POSIX shell and is not one. What differs on purpose:
//! - `\` (or the character of the `escape` directive) outside quotes always vanishes and protects what follows; inside
//!   double quotes it only protects `"`, `$` and itself; inside single quotes it is text.
//! - Positional and special parameters (`$1`, `$@`, `$$` …) exist and are always unset.
//! - Patterns know `*` and `?` only. See the `pattern` module.
//!
//! Specification: Dockerfile reference § Environment replacement. COMPAT(buildkit): results of `BuildKit` win.

mod lexer;
mod pattern;

#[cfg(test)]
mod tests;

use lexer::{Lexer, Style};

use crate::diagnostic::Diagnostic;
use crate::source::{Span, Word};

/// How much the values substituted into one word may come to, in bytes. A few lines of `ENV a=$a$a` would fill any memory.
const MAX_GROWTH: usize = 1 << 20;

/// Gives the value of a variable; `None` if it is not set, which is not the same as empty.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The result of expanding a word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The text, quotes removed.
    pub text: String,
    /// The text split at blanks that are neither quoted nor escaped; empty pieces are dropped.
    pub words: Vec<String>,
    /// The variables that were asked for and not set, in order, each once.
    pub undefined: Vec<String>,
}

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{snippet}`: {problem}")]
pub struct WordError {
    /// The substitution, or the whole word if none is to blame; cut when it is long.
    pub snippet: String,
    /// What is wrong with it.
    pub problem: WordProblem,
}

/// What is wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WordProblem {
    /// `"` without its partner.
    #[error("unexpected end while looking for the matching double quote")]
    DoubleQuote,
    /// `'` without its partner.
    #[error("unexpected end while looking for the matching single quote")]
    SingleQuote,
    /// `${` without `}`.
    #[error("`}}` is missing")]
    MissingBrace,
    /// `${v/pattern` without the second `/`.
    #[error("`/` between pattern and replacement is missing")]
    MissingSlash,
    /// `${}`, `${:…}`, `${{…}`.
    #[error("bad substitution")]
    BadSubstitution,
    /// An operator that the language does not have.
    #[error("modifier `{0}` is not supported in a substitution")]
    UnsupportedModifier(String),
    /// `${v?text}` of an unset or `${v:?text}` of an empty variable.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The user's text, or ours if there is none.
        message: String,
    },
    /// An escape that patterns do not have.
    #[error("invalid pattern `{pattern}`: {}", escape_text(*escaped))]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// The character behind the backslash, if there is one.
        escaped: Option<char>,
    },
    /// Substitutions inside substitutions, deeper than any sensible file.
    #[error("substitutions are nested too deeply")]
    TooDeep,
    /// Values, or patterns and values, that come to more than any sensible file has.
    #[error("the values to substitute are too long")]
    TooLong,
}

fn escape_text(escaped: Option<char>) -> String {
    match escaped {
        Some(character) => format!("invalid escape `\\{character}`"),
        None => "nothing follows the backslash".to_owned(),
    }
}

impl WordError {
    /// The error as a finding at the place of the word.
    #[must_use]
    pub fn diagnostic(&self, span: Span) -> Diagnostic {
        let name = match self.problem {
            WordProblem::DoubleQuote | WordProblem::SingleQuote => "UnbalancedQuote",
            WordProblem::Required { .. } => "RequiredVariable",
            WordProblem::MissingBrace
            | WordProblem::MissingSlash
            | WordProblem::BadSubstitution
            | WordProblem::UnsupportedModifier(_)
            | WordProblem::InvalidPattern { .. }
            | WordProblem::TooDeep
            | WordProblem::TooLong => "BadSubstitution",
        };
        Diagnostic::error(name, span, self.to_string())
    }
}

/// Expands a word: quotes are removed, escapes and `$` substitutions are carried out.
///
/// `escape` is the escape character of the file.
///
/// # Errors
///
/// When quotes or braces are not balanced, an operator does not exist, a pattern is malformed, or a variable that is
/// required with `?` is not set.
pub fn expand(raw: &str, lookup: &Lookup<'_>, escape: char) -> Result<Expanded, WordError> {
    Lexer::new(raw, lookup, escape, Style::Word).expand()
}

/// Expands the body of a heredoc of COPY or ADD: quotes are text, every backslash vanishes and protects what follows.
///
/// The escape character of the file has no meaning here. Content with `\r\n` keeps it.
///
/// # Errors
///
/// As [`expand`], quotes aside.
pub fn expand_heredoc(body: &str, lookup: &Lookup<'_>) -> Result<Expanded, WordError> {
    Lexer::new(body, lookup, '\\', Style::Heredoc).expand()
}

/// Splits a line into words whose quotes, escapes and substitutions stay as written: how heredoc markers are found.
///
/// # Errors
///
/// When quotes or braces are not balanced.
pub fn split_raw(raw: &str) -> Result<Vec<String>, WordError> {
    Ok(Lexer::new(raw, &|_| None, '\\', Style::Raw).expand()?.words)
}

/// Splits a line into words without quotes and escapes; substitutions stay as written.
///
/// # Errors
///
/// When quotes or braces are not balanced.
pub fn split_unquoted(raw: &str) -> Result<Vec<String>, WordError> {
    Ok(Lexer::new(raw, &|_| None, '\\', Style::Unquoted)
        .expand()?
        .words)
}

impl Word {
    /// [`expand`] of the raw text.
    ///
    /// # Errors
    ///
    /// As [`expand`].
    pub fn expand(&self, lookup: &Lookup<'_>, escape: char) -> Result<Expanded, WordError> {
        expand(&self.raw, lookup, escape)
    }
}
