//! Patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?` and nothing else.
//!
//! COMPAT(buildkit): it translates them to Go regular expressions, which shows in three places. Neither `*` nor `?`
//! matches a newline. The first alternative that matches from the left wins, with longer or shorter stars preferred as
//! the operator says. And the replacement of `//` is a template in which `$name` is a group.

use super::{MAX_GROWTH, WordProblem};

/// Pattern and value multiplied: more is refused. Far beyond what anybody writes, and decided in a fraction of a second.
const MAX_CELLS: usize = 1 << 26;

/// Which of several matches at one place is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Shortest,
    Longest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    Any,
    Star,
}

pub(super) struct Pattern {
    tokens: Vec<Token>,
    greed: Greed,
}

impl Pattern {
    /// Reads a pattern. Escapes that exist: `\*`, `\?`, `\\`, `\}`, `\/`.
    pub(super) fn parse(text: &str, greed: Greed) -> Result<Self, WordProblem> {
        let mut tokens = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '*' if tokens.last() == Some(&Token::Star) => continue,
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::Literal(escaped),
                    escaped => {
                        return Err(WordProblem::InvalidPattern {
                            pattern: text.to_owned(),
                            escaped,
                        });
                    }
                },
                other => Token::Literal(other),
            });
        }
        Ok(Self { tokens, greed })
    }

    /// What remains of `value` when the matching beginning is removed.
    pub(super) fn strip_prefix<'v>(&self, value: &'v str) -> Result<&'v str, WordProblem> {
        let search = Search::new(self, value)?;
        let end = search.match_at(0).map_or(0, |end| search.offset(end));
        Ok(value.get(end..).unwrap_or(value))
    }

    /// Replaces the leftmost match. The replacement is taken as it is.
    pub(super) fn replace_first(
        &self,
        value: &str,
        replacement: &str,
    ) -> Result<String, WordProblem> {
        let search = Search::new(self, value)?;
        let Some((start, end)) = search.find(0) else {
            return Ok(value.to_owned());
        };
        let before = value.get(..search.offset(start)).unwrap_or_default();
        let after = value.get(search.offset(end)..).unwrap_or_default();
        Ok(format!("{before}{replacement}{after}"))
    }

    /// Replaces all matches, left to right, without overlap; the replacement is a template.
    pub(super) fn replace_all(&self, value: &str, template: &str) -> Result<String, WordProblem> {
        let search = Search::new(self, value)?;
        let text = |from, to| {
            let range = search.offset(from)..search.offset(to);
            value.get(range).unwrap_or_default()
        };
        let mut result = String::new();
        // Characters, not bytes.
        let mut copied = 0;
        let mut at = 0;
        while let Some((start, end)) = search.find(at) {
            result.push_str(text(copied, start));
            // An empty match right behind the previous match does not count.
            if end > copied || start == 0 {
                expand_template(template, text(start, end), &mut result);
            }
            if result.len() > MAX_GROWTH {
                return Err(WordProblem::TooLong);
            }
            copied = end;
            at = end.max(at + 1);
        }
        result.push_str(text(copied, search.characters.len()));
        Ok(result)
    }
}

/// Writes a replacement: `$0` is the match, any other group is empty, `$$` is a dollar sign.
fn expand_template(template: &str, matched: &str, result: &mut String) {
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        result.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let Some((name, after)) = group_name(rest) else {
            result.push('$');
            continue;
        };
        if name.parse::<u32>() == Ok(0) {
            result.push_str(matched);
        }
        rest = after;
    }
    result.push_str(rest);
}

/// Reads `name` or `{name}` and gives what follows.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let braced = text.strip_prefix('{');
    let body = braced.unwrap_or(text);
    let end = body.find(|c| !is_name(c)).unwrap_or(body.len());
    let (name, after) = body.split_at_checked(end)?;
    let after = if braced.is_some() {
        after.strip_prefix('}')?
    } else {
        after
    };
    (!name.is_empty()).then_some((name, after))
}

/// A search in one value: for every token and every place, whether the rest of the pattern matches there. So it takes time in
/// proportion to the lengths of pattern and value multiplied, whatever the pattern.
struct Search<'a> {
    pattern: &'a Pattern,
    /// The characters of the value and where they stand.
    characters: Vec<(usize, char)>,
    length: usize,
    /// A row for each token and one for the end of the pattern; a column for each character and one for the end of the value.
    matches: Vec<bool>,
}

impl<'a> Search<'a> {
    fn new(pattern: &'a Pattern, value: &str) -> Result<Self, WordProblem> {
        let characters: Vec<_> = value.char_indices().collect();
        let (rows, columns) = (pattern.tokens.len() + 1, characters.len() + 1);
        let cells = rows.saturating_mul(columns);
        if cells > MAX_CELLS {
            return Err(WordProblem::TooLong);
        }
        let mut search = Self {
            pattern,
            characters,
            length: value.len(),
            matches: vec![true; cells],
        };
        for row in (0..rows - 1).rev() {
            for column in (0..columns).rev() {
                let cell = search.decide(row, column);
                if let Some(known) = search.matches.get_mut(row * columns + column) {
                    *known = cell;
                }
            }
        }
        Ok(search)
    }

    /// Whether the pattern from a token on matches at a place, once all that comes later is decided.
    fn decide(&self, token: usize, at: usize) -> bool {
        let next = self.character(at);
        match self.pattern.tokens.get(token) {
            None => true,
            Some(Token::Literal(wanted)) => next == Some(*wanted) && self.can(token + 1, at + 1),
            Some(Token::Any) => next.is_some_and(in_line) && self.can(token + 1, at + 1),
            Some(Token::Star) => {
                self.can(token + 1, at) || (next.is_some_and(in_line) && self.can(token, at + 1))
            }
        }
    }

    fn can(&self, token: usize, at: usize) -> bool {
        let columns = self.characters.len() + 1;
        self.matches.get(token * columns + at) == Some(&true)
    }

    fn character(&self, at: usize) -> Option<char> {
        self.characters.get(at).map(|(_, character)| *character)
    }

    fn offset(&self, at: usize) -> usize {
        self.characters
            .get(at)
            .map_or(self.length, |(offset, _)| *offset)
    }

    /// The leftmost match that does not start before the character `from`, as characters.
    fn find(&self, from: usize) -> Option<(usize, usize)> {
        let mut starts = from..=self.characters.len();
        let start = starts.find(|start| self.can(0, *start))?;
        Some((start, self.match_at(start)?))
    }

    /// The end of the preferred match that starts at `start`.
    fn match_at(&self, start: usize) -> Option<usize> {
        if !self.can(0, start) {
            return None;
        }
        let (mut token, mut at) = (0, start);
        while let Some(kind) = self.pattern.tokens.get(token) {
            let takes_more = match (kind, self.pattern.greed) {
                (Token::Literal(_) | Token::Any, _) => {
                    (token, at) = (token + 1, at + 1);
                    continue;
                }
                (Token::Star, Greed::Longest) => {
                    self.character(at).is_some_and(in_line) && self.can(token, at + 1)
                }
                (Token::Star, Greed::Shortest) => !self.can(token + 1, at),
            };
            if takes_more {
                at += 1;
            } else {
                token += 1;
            }
        }
        Some(at)
    }
}

/// What wildcards match.
fn in_line(character: char) -> bool {
    character != '\n'
}
