//! Patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?` and nothing else.
//!
//! COMPAT(buildkit): it translates them to Go regular expressions, which shows in three places. Neither `*` nor `?`
//! matches a newline. The first alternative that matches from the left wins, with longer or shorter stars preferred as
//! the operator says. And the replacement of `//` is a template in which `$name` is a group.

use std::collections::HashSet;

use super::WordProblem;

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
    pub(super) fn strip_prefix<'v>(&self, value: &'v str) -> &'v str {
        let end = Search::new(self, value).match_at(0).unwrap_or(0);
        value.get(end..).unwrap_or(value)
    }

    /// Replaces the leftmost match. The replacement is taken as it is.
    pub(super) fn replace_first(&self, value: &str, replacement: &str) -> String {
        let Some((start, end)) = Search::new(self, value).find(0) else {
            return value.to_owned();
        };
        let before = value.get(..start).unwrap_or_default();
        let after = value.get(end..).unwrap_or_default();
        format!("{before}{replacement}{after}")
    }

    /// Replaces all matches, left to right, without overlap; the replacement is a template.
    pub(super) fn replace_all(&self, value: &str, template: &str) -> String {
        let mut search = Search::new(self, value);
        let mut result = String::new();
        let mut copied = 0;
        let mut at = 0;
        while let Some((start, end)) = search.find(at) {
            result.push_str(value.get(copied..start).unwrap_or_default());
            // An empty match right behind the previous match does not count.
            if end > copied || start == 0 {
                expand_template(
                    template,
                    value.get(start..end).unwrap_or_default(),
                    &mut result,
                );
            }
            copied = end;
            let step = value
                .get(at..)
                .and_then(|rest| rest.chars().next())
                .map_or(1, char::len_utf8);
            at = end.max(at + step);
            if at > value.len() {
                break;
            }
        }
        result.push_str(value.get(copied..).unwrap_or_default());
        result
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

/// A search in one value. What is known not to match is remembered, so it takes time in proportion to the lengths of
/// pattern and value multiplied, whatever the pattern.
struct Search<'a> {
    pattern: &'a Pattern,
    value: &'a str,
    /// Pairs (token, offset) from which nothing matches.
    dead: HashSet<(usize, usize)>,
}

impl<'a> Search<'a> {
    fn new(pattern: &'a Pattern, value: &'a str) -> Self {
        Self {
            pattern,
            value,
            dead: HashSet::new(),
        }
    }

    /// The leftmost match that does not start before `from`.
    fn find(&mut self, from: usize) -> Option<(usize, usize)> {
        let mut start = from;
        loop {
            if let Some(end) = self.match_at(start) {
                // The set also holds the pairs on the way to this match; they are not dead.
                self.dead.clear();
                return Some((start, end));
            }
            start += self.value.get(start..)?.chars().next()?.len_utf8();
        }
    }

    /// The end of the preferred match that starts at `start`.
    fn match_at(&mut self, start: usize) -> Option<usize> {
        // Alternatives still to be tried, the preferred one on top.
        let mut pending = vec![(0, start)];
        while let Some((token, at)) = pending.pop() {
            let Some(kind) = self.pattern.tokens.get(token).copied() else {
                return Some(at);
            };
            if !self.dead.insert((token, at)) {
                continue;
            }
            let next = self.value.get(at..).and_then(|rest| rest.chars().next());
            let after = at + next.map_or(0, char::len_utf8);
            match (kind, next) {
                (Token::Literal(wanted), Some(found)) if wanted == found => {
                    pending.push((token + 1, after));
                }
                (Token::Any, Some(found)) if found != '\n' => pending.push((token + 1, after)),
                (Token::Star, Some(found)) if found != '\n' => {
                    let (more, enough) = ((token, after), (token + 1, at));
                    match self.pattern.greed {
                        Greed::Longest => pending.extend([enough, more]),
                        Greed::Shortest => pending.extend([more, enough]),
                    }
                }
                (Token::Star, _) => pending.push((token + 1, at)),
                (Token::Literal(_) | Token::Any, _) => {}
            }
        }
        None
    }
}
