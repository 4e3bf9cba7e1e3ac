//! One pass over a word.

use super::pattern::{Greed, Pattern};
use super::{Expanded, Lookup, MAX_GROWTH, WordError, WordProblem};

/// Substitutions in substitutions are followed by recursion; a hostile file must not exhaust the stack.
const MAX_DEPTH: usize = 100;

/// Longest piece of the user's text that is repeated in an error.
const MAX_SNIPPET: usize = 80;

/// What happens to quotes, escapes and unset variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Quotes and escapes are carried out and removed.
    Word,
    /// Quotes are ordinary characters.
    Heredoc,
    /// Quotes are removed; unset variables stay as written.
    Unquoted,
    /// Quotes and escapes are carried out and kept; unset variables stay as written.
    Raw,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Offset of the next character.
    at: usize,
    lookup: &'a Lookup<'a>,
    escape: char,
    style: Style,
    /// Escape characters stay in the result. Patterns need that, whatever the style.
    raw_escapes: bool,
    depth: usize,
    /// How many bytes values have brought so far.
    grown: usize,
    undefined: Vec<String>,
}

type Problem<T> = Result<T, WordProblem>;

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, lookup: &'a Lookup<'a>, escape: char, style: Style) -> Self {
        let raw_escapes = style == Style::Raw;
        Self {
            text,
            at: 0,
            lookup,
            escape,
            style,
            raw_escapes,
            depth: 0,
            grown: 0,
            undefined: Vec::new(),
        }
    }

    pub(super) fn expand(mut self) -> Result<Expanded, WordError> {
        let (text, words) = self
            .until(None, self.raw_escapes)
            .map_err(|(start, problem)| WordError {
                snippet: snippet(self.text, start),
                problem,
            })?;
        Ok(Expanded {
            text,
            words,
            undefined: self.undefined,
        })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn keeps_quotes(&self) -> bool {
        self.style == Style::Raw
    }

    fn keeps_unset(&self) -> bool {
        matches!(self.style, Style::Raw | Style::Unquoted)
    }

    /// Reads up to and including an unprotected `stop`, or to the end. Errors carry the offset of the substitution
    /// they are about.
    fn until(
        &mut self,
        stop: Option<char>,
        raw_escapes: bool,
    ) -> Result<(String, Vec<String>), (Option<usize>, WordProblem)> {
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let result = self.until_stop(stop);
        self.raw_escapes = outer;
        result
    }

    fn until_stop(
        &mut self,
        stop: Option<char>,
    ) -> Result<(String, Vec<String>), (Option<usize>, WordProblem)> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(character) = self.peek() {
            if Some(character) == stop {
                self.next();
                return Ok((result, words.finish()));
            }
            let quotes = self.style != Style::Heredoc;
            match character {
                '$' => {
                    let value = self.dollar()?;
                    words.add_splitting(&value);
                    result.push_str(&value);
                }
                '\'' if quotes => {
                    let value = self.single_quoted().map_err(|problem| (None, problem))?;
                    words.add(&value);
                    result.push_str(&value);
                }
                '"' if quotes => {
                    let value = self.double_quoted()?;
                    words.add(&value);
                    result.push_str(&value);
                }
                _ => self.plain(&mut result, &mut words),
            }
        }
        match stop {
            None => Ok((result, words.finish())),
            // The caller knows what it was looking for.
            Some(_) => Err((None, WordProblem::MissingBrace)),
        }
    }

    /// A character without a meaning of its own, or an escape and the character it protects.
    fn plain(&mut self, result: &mut String, words: &mut Words) {
        let Some(character) = self.next() else { return };
        if character != self.escape {
            words.add_char_splitting(character);
            result.push(character);
            return;
        }
        if self.raw_escapes {
            words.add_char(character);
            result.push(character);
        }
        // An escape at the very end protects nothing and vanishes.
        if let Some(protected) = self.next() {
            words.add_char(protected);
            result.push(protected);
        }
    }

    fn single_quoted(&mut self) -> Problem<String> {
        let start = self.at;
        self.next();
        loop {
            match self.next() {
                None => return Err(WordProblem::SingleQuote),
                Some('\'') => break,
                Some(_) => {}
            }
        }
        let (from, to) = if self.keeps_quotes() {
            (start, self.at)
        } else {
            (start + 1, self.at - 1)
        };
        Ok(self.text.get(from..to).unwrap_or_default().to_owned())
    }

    fn double_quoted(&mut self) -> Result<String, (Option<usize>, WordProblem)> {
        let mut result = String::new();
        self.next();
        if self.keeps_quotes() {
            result.push('"');
        }
        loop {
            match self.peek() {
                None => return Err((None, WordProblem::DoubleQuote)),
                Some('"') => {
                    self.next();
                    if self.keeps_quotes() {
                        result.push('"');
                    }
                    return Ok(result);
                }
                Some('$') => result.push_str(&self.dollar()?),
                Some(character) => {
                    self.next();
                    self.quoted_char(character, &mut result);
                }
            }
        }
    }

    /// A character between double quotes, already consumed.
    fn quoted_char(&mut self, character: char, result: &mut String) {
        if character != self.escape {
            result.push(character);
            return;
        }
        if self.raw_escapes {
            result.push(character);
        }
        match self.peek() {
            None => {}
            Some(protected) if protected == '"' || protected == '$' || protected == self.escape => {
                self.next();
                result.push(protected);
            }
            // COMPAT(buildkit): where escapes are kept, one that protects nothing is written twice.
            Some(_) => result.push(character),
        }
    }

    fn dollar(&mut self) -> Result<String, (Option<usize>, WordProblem)> {
        let start = self.at;
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return self
                .plain_value(&name)
                .map_err(|problem| (Some(start), problem));
        }
        self.next();
        if self.depth >= MAX_DEPTH {
            return Err((Some(start), WordProblem::TooDeep));
        }
        self.depth += 1;
        let value = self
            .braces()
            .map_err(|(inner, problem)| (inner.or(Some(start)), problem))?;
        self.depth -= 1;
        Ok(value)
    }

    /// `$name`: the value, or the reference itself where unset variables are kept.
    fn plain_value(&mut self, name: &str) -> Problem<String> {
        Ok(match self.value(name)? {
            Some(value) => value,
            None if self.keeps_unset() => format!("${name}"),
            None => String::new(),
        })
    }

    /// The rest of `${…}`, `${` consumed.
    fn braces(&mut self) -> Result<String, (Option<usize>, WordProblem)> {
        let plain = |problem| (None, problem);
        match self.peek() {
            None => return Err(plain(WordProblem::MissingBrace)),
            Some('{' | '}' | ':') => return Err(plain(WordProblem::BadSubstitution)),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            None => Err(plain(WordProblem::MissingBrace)),
            Some('}') => Ok(match self.value(&name).map_err(plain)? {
                Some(value) => value,
                None if self.keeps_unset() => format!("${{{name}}}"),
                None => String::new(),
            }),
            Some(':') => {
                let operator = self
                    .next()
                    .ok_or_else(|| plain(WordProblem::MissingBrace))?;
                if matches!(operator, '+' | '-' | '?') {
                    self.conditional(&name, operator, true)
                } else {
                    Err(plain(WordProblem::UnsupportedModifier(format!(
                        ":{operator}"
                    ))))
                }
            }
            Some(operator @ ('+' | '-' | '?')) => self.conditional(&name, operator, false),
            Some(operator @ ('#' | '%')) => self.removal(&name, operator),
            Some('/') => self.replacement(&name),
            Some(other) => Err(plain(WordProblem::UnsupportedModifier(other.to_string()))),
        }
    }

    /// Reads the word of an operator. Running out of text is reported as `missing`, which is what really is wrong
    /// even if a quote was open at that point.
    fn operand(
        &mut self,
        stop: char,
        raw_escapes: bool,
        missing: WordProblem,
    ) -> Result<String, (Option<usize>, WordProblem)> {
        match self.until(Some(stop), raw_escapes) {
            Ok((word, _)) => Ok(word),
            Err(_) if self.peek().is_none() => Err((None, missing)),
            Err(error) => Err(error),
        }
    }

    fn conditional(
        &mut self,
        name: &str,
        operator: char,
        empty_is_unset: bool,
    ) -> Result<String, (Option<usize>, WordProblem)> {
        let word = self.operand('}', false, WordProblem::MissingBrace)?;
        let value = self.value(name).map_err(|problem| (None, problem))?;
        if value.is_none() && self.keeps_unset() {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let is_set = value.is_some();
        let value = value.filter(|value| !(empty_is_unset && value.is_empty()));
        match (operator, value) {
            ('+', Some(_)) | ('-', None) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            (_, None) => {
                let ours = if is_set {
                    "must not be empty"
                } else {
                    "must be set"
                };
                let message = if word.is_empty() {
                    ours.to_owned()
                } else {
                    word
                };
                Err((
                    None,
                    WordProblem::Required {
                        name: name.to_owned(),
                        message,
                    },
                ))
            }
        }
    }

    fn removal(
        &mut self,
        name: &str,
        operator: char,
    ) -> Result<String, (Option<usize>, WordProblem)> {
        let word = self.operand('}', true, WordProblem::MissingBrace)?;
        let Some(value) = self.value(name).map_err(|problem| (None, problem))? else {
            return Ok(if self.keeps_unset() {
                format!("${{{name}{operator}{word}}}")
            } else {
                // A malformed pattern is an error whether or not there is something to match.
                Pattern::parse(
                    word.strip_prefix(operator).unwrap_or(&word),
                    Greed::Shortest,
                )
                .map_err(|problem| (None, problem))?;
                String::new()
            });
        };
        let (pattern, greed) = match word.strip_prefix(operator) {
            Some(rest) => (rest, Greed::Longest),
            None => (word.as_str(), Greed::Shortest),
        };
        let trimmed = if operator == '#' {
            Pattern::parse(pattern, greed)
                .and_then(|pattern| pattern.strip_prefix(&value).map(str::to_owned))
        } else {
            strip_suffix(pattern, greed, &value)
        };
        trimmed.map_err(|problem| (None, problem))
    }

    fn replacement(&mut self, name: &str) -> Result<String, (Option<usize>, WordProblem)> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.operand('/', true, WordProblem::MissingSlash)?;
        let replacement = self.operand('}', true, WordProblem::MissingBrace)?;
        let value = self.value(name).map_err(|problem| (None, problem))?;
        if value.is_none() && self.keeps_unset() {
            let slash = if all { "//" } else { "/" };
            return Ok(format!("${{{name}{slash}{pattern}/{replacement}}}"));
        }
        let compiled =
            Pattern::parse(&pattern, Greed::Longest).map_err(|problem| (None, problem))?;
        let value = value.unwrap_or_default();
        let replaced = if all {
            compiled.replace_all(&value, &replacement)
        } else {
            compiled.replace_first(&value, &replacement)
        };
        let replaced = replaced.and_then(|replaced| self.grow(replaced));
        replaced.map_err(|problem| (None, problem))
    }

    /// Reads the name of a variable: letters, digits and `_`; or only digits; or one special character.
    fn name(&mut self) -> String {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return String::new();
        };
        let length = if first.is_ascii_digit() {
            rest.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len())
        } else if matches!(first, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
            1
        } else {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        };
        self.at += length;
        rest.get(..length).unwrap_or_default().to_owned()
    }

    fn value(&mut self, name: &str) -> Problem<Option<String>> {
        let value = (self.lookup)(name);
        if value.is_none() && !self.undefined.iter().any(|known| known == name) {
            self.undefined.push(name.to_owned());
        }
        value.map(|value| self.grow(value)).transpose()
    }

    /// Counts what a substitution has brought.
    fn grow(&mut self, text: String) -> Problem<String> {
        self.grown = self.grown.saturating_add(text.len());
        if self.grown > MAX_GROWTH {
            return Err(WordProblem::TooLong);
        }
        Ok(text)
    }
}

/// Removes a suffix by reversing both sides: leftmost matching then gives the shortest or longest suffix.
fn strip_suffix(pattern: &str, greed: Greed, value: &str) -> Problem<String> {
    let pattern = Pattern::parse(&reverse_pattern(pattern), greed)?;
    let value: String = value.chars().rev().collect();
    Ok(pattern.strip_prefix(&value)?.chars().rev().collect())
}

/// Reverses a pattern but keeps every backslash in front of the character it protects.
fn reverse_pattern(pattern: &str) -> String {
    let mut pieces = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match (
            character,
            if character == '\\' {
                characters.next()
            } else {
                None
            },
        ) {
            ('\\', Some(protected)) => pieces.push((Some('\\'), protected)),
            (character, _) => pieces.push((None, character)),
        }
    }
    pieces
        .into_iter()
        .rev()
        .flat_map(|(escape, character)| escape.into_iter().chain([character]))
        .collect()
}

/// The substitution that starts at `start`, or the whole word; cut to a length that fits into a message.
fn snippet(text: &str, start: Option<usize>) -> String {
    let from = text.get(start.unwrap_or(0)..).unwrap_or_default();
    let piece = match (start, from.find('}')) {
        (Some(_), Some(end)) => from.get(..=end).unwrap_or(from),
        _ => from,
    };
    let mut short: String = piece.chars().take(MAX_SNIPPET).collect();
    if short.len() < piece.len() {
        short.push('…');
    }
    short
}

/// Collects words while the whole text is collected beside it.
#[derive(Default)]
struct Words {
    word: String,
    words: Vec<String>,
}

impl Words {
    fn add_char(&mut self, character: char) {
        self.word.push(character);
    }

    fn add(&mut self, text: &str) {
        self.word.push_str(text);
    }

    fn add_char_splitting(&mut self, character: char) {
        if !character.is_whitespace() {
            self.word.push(character);
        } else if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn add_splitting(&mut self, text: &str) {
        for character in text.chars() {
            self.add_char_splitting(character);
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}
