//! One line of a `.dockerignore` file.
//!
//! COMPAT(buildkit): three forms have a shortcut of their own, with results that the general form would not give.
//! `a/**` is the prefix `a/`, so that `a` itself is not meant; `**b` is the suffix `b`, so that `ab` is meant too;
//! a pattern without wildcards is compared as text.
//!
//! DEVIATION: wildcards inside `[…]` are ordinary members and `^` outside of it is an ordinary character; in the
//! reference both become fragments of a regular expression by accident.

use crate::glob::{BadPattern, Element, Unit, first_char, read_element};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) is_exception: bool,
    /// How many components it has.
    pub(super) depth: usize,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Exact(String),
    /// The path begins with this.
    Prefix(String),
    /// The path ends with this, or is this without its leading slash.
    Suffix(String),
    Steps(Vec<Step>),
}

/// A piece of a general pattern; a state of the automaton that matches it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    One(Unit),
    /// `*`: any characters but `/`.
    Star,
    /// `**` at the end: anything.
    Rest,
    /// `**/`: nothing, or anything that ends in `/`. Always followed by [`Step::InsideDirectories`].
    Directories,
    /// The state in which the second alternative of [`Step::Directories`] is being read.
    InsideDirectories,
}

impl Pattern {
    /// Reads a cleaned pattern.
    pub(super) fn parse(text: &str) -> Result<Self, BadPattern> {
        let bad = |problem| BadPattern {
            pattern: text.to_owned(),
            problem,
        };
        let (is_exception, path) = match text.strip_prefix('!') {
            Some(path) => (true, path),
            None => (false, text),
        };
        if path.is_empty() {
            return Err(bad("nothing follows the `!`"));
        }
        let steps = read_steps(path).map_err(bad)?;
        Ok(Self {
            is_exception,
            depth: path.split('/').count(),
            form: Form::new(path, steps),
        })
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        match &self.form {
            Form::Exact(text) => path == text.as_bytes(),
            Form::Prefix(text) => path.starts_with(text.as_bytes()),
            Form::Suffix(text) => {
                path.ends_with(text.as_bytes())
                    || text
                        .strip_prefix('/')
                        .is_some_and(|name| path == name.as_bytes())
            }
            Form::Steps(steps) => run(steps, path).last().is_some_and(|accepting| *accepting),
        }
    }

    /// Whether some path that begins with `directory` (which ends in `/`) can match.
    pub(super) fn may_match_below(&self, directory: &[u8]) -> bool {
        match &self.form {
            Form::Exact(text) => text.as_bytes().starts_with(directory),
            Form::Prefix(text) => {
                text.as_bytes().starts_with(directory) || directory.starts_with(text.as_bytes())
            }
            Form::Suffix(_) => true,
            Form::Steps(steps) => run(steps, directory).contains(&true),
        }
    }
}

impl Form {
    fn new(path: &str, steps: Vec<Step>) -> Self {
        let is_plain = |text: &str| !text.contains(['*', '?', '[', ']', '\\']);
        if is_plain(path) {
            return Self::Exact(path.to_owned());
        }
        if let Some(suffix) = path.strip_prefix("**").filter(|suffix| is_plain(suffix)) {
            return Self::Suffix(suffix.to_owned());
        }
        if let Some(prefix) = path.strip_suffix("**").filter(|prefix| is_plain(prefix)) {
            return Self::Prefix(prefix.to_owned());
        }
        Self::Steps(steps)
    }
}

fn read_steps(path: &str) -> Result<Vec<Step>, &'static str> {
    let mut steps = Vec::new();
    let mut characters = path.chars().peekable();
    while let Some(element) = read_element(&mut characters)? {
        match element {
            Element::Unit(Unit::Class { ranges, .. })
                if ranges.iter().any(|(low, high)| low > high) =>
            {
                return Err("a range runs backwards");
            }
            Element::Unit(unit) => steps.push(Step::One(unit)),
            Element::Star if characters.next_if_eq(&'*').is_none() => steps.push(Step::Star),
            Element::Star => {
                characters.next_if_eq(&'/');
                if characters.peek().is_none() {
                    steps.push(Step::Rest);
                } else {
                    steps.extend([Step::Directories, Step::InsideDirectories]);
                }
            }
        }
    }
    Ok(steps)
}

/// Feeds a path to the automaton and gives the states it is in afterwards; the last one means acceptance.
///
/// Time is proportional to the length of the path times that of the pattern, whatever they contain.
fn run(steps: &[Step], path: &[u8]) -> Vec<bool> {
    let mut states = vec![false; steps.len() + 1];
    if let Some(first) = states.first_mut() {
        *first = true;
    }
    follow_empty(steps, &mut states);
    let mut rest = path;
    while let Some((character, length)) = first_char(rest) {
        let mut next = vec![false; states.len()];
        for (index, step) in steps.iter().enumerate() {
            if states.get(index) != Some(&true) {
                continue;
            }
            let (stays, moves) = match step {
                Step::One(unit) => (false, unit.matches(character)),
                Step::Star => (character != '/', false),
                Step::Rest => (true, false),
                Step::Directories => (false, false),
                Step::InsideDirectories => (true, character == '/'),
            };
            for (target, reached) in next.iter_mut().skip(index).zip([stays, moves]) {
                *target |= reached;
            }
        }
        follow_empty(steps, &mut next);
        states = next;
        rest = rest.get(length..).unwrap_or_default();
    }
    states
}

/// Adds the states that are reached without a character. Steps only lead forward, so one pass is enough.
fn follow_empty(steps: &[Step], states: &mut [bool]) {
    for (index, step) in steps.iter().enumerate() {
        if states.get(index) != Some(&true) {
            continue;
        }
        let targets: &[usize] = match step {
            Step::One(_) | Step::InsideDirectories => &[],
            Step::Star | Step::Rest => &[1],
            Step::Directories => &[1, 2],
        };
        for target in targets {
            if let Some(state) = states.get_mut(index + target) {
                *state = true;
            }
        }
    }
}
