//! Wildcards of COPY and ADD sources: `*`, `?`, `[…]` within one path component, as Go's `filepath.Match` reads them.
//!
//! COMPAT(buildkit): the first way in which a `*` can be satisfied is the only one tried, and a negated class matches
//! `/`. Both are visible only in contrived patterns, and both decide which files are copied.

/// A wildcard pattern whose syntax is known to be valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pattern: String,
    /// The pattern split in front of every `*`.
    chunks: Vec<Chunk>,
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed pattern `{pattern}`: {problem}")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk {
    /// Whether any number of characters other than `/` may come first.
    star: bool,
    units: Vec<Unit>,
}

/// What one character of a name is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unit {
    Literal(char),
    /// Anything but `/`.
    Any,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Unit {
    pub(crate) fn matches(&self, character: char) -> bool {
        match self {
            Self::Literal(wanted) => *wanted == character,
            Self::Any => character != '/',
            Self::Class { negated, ranges } => {
                ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character))
                    != *negated
            }
        }
    }
}

/// A unit of a pattern or a star, read from its text.
pub(crate) enum Element {
    Star,
    Unit(Unit),
}

/// Reads the next element; `None` at the end.
pub(crate) fn read_element(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<Option<Element>, &'static str> {
    let Some(character) = characters.next() else {
        return Ok(None);
    };
    Ok(Some(match character {
        '*' => Element::Star,
        '?' => Element::Unit(Unit::Any),
        '[' => Element::Unit(read_class(characters)?),
        '\\' => {
            let escaped = characters.next().ok_or("nothing follows the backslash")?;
            Element::Unit(Unit::Literal(escaped))
        }
        other => Element::Unit(Unit::Literal(other)),
    }))
}

/// Reads a class whose `[` is consumed.
fn read_class(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<Unit, &'static str> {
    let negated = characters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && characters.next_if_eq(&']').is_some() {
            return Ok(Unit::Class { negated, ranges });
        }
        let low = read_class_member(characters)?;
        let high = match characters.next_if_eq(&'-') {
            Some(_) => read_class_member(characters)?,
            None => low,
        };
        ranges.push((low, high));
    }
}

fn read_class_member(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<char, &'static str> {
    let member = match characters.next().ok_or("`[` without `]`")? {
        '-' => return Err("a range without a beginning"),
        ']' => return Err("a class or range without an end"),
        '\\' => characters.next().ok_or("nothing follows the backslash")?,
        other => other,
    };
    characters.peek().ok_or("`[` without `]`")?;
    Ok(member)
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// When a class is not closed or empty, a range has only one side, or the pattern ends in a backslash.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let bad = |problem| BadPattern {
            pattern: pattern.to_owned(),
            problem,
        };
        let mut chunks = vec![Chunk {
            star: false,
            units: Vec::new(),
        }];
        let mut characters = pattern.chars().peekable();
        while let Some(element) = read_element(&mut characters).map_err(bad)? {
            match (element, chunks.last_mut()) {
                (Element::Unit(unit), Some(chunk)) => chunk.units.push(unit),
                (Element::Star, Some(chunk)) if chunk.star && chunk.units.is_empty() => {}
                (Element::Star, _) => chunks.push(Chunk {
                    star: true,
                    units: Vec::new(),
                }),
                (Element::Unit(_), None) => {}
            }
        }
        Ok(Self {
            pattern: pattern.to_owned(),
            chunks,
        })
    }

    /// The text of the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole name matches. Bytes that are no UTF-8 count as one character each.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let mut rest = name;
        for (index, chunk) in self.chunks.iter().enumerate() {
            let is_last = index + 1 == self.chunks.len();
            if chunk.star && chunk.units.is_empty() {
                return !rest.contains(&b'/');
            }
            match chunk.advance(rest, is_last) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

impl Chunk {
    /// What follows the first place at which the chunk matches.
    fn advance<'n>(&self, name: &'n [u8], is_last: bool) -> Option<&'n [u8]> {
        let mut from = name;
        loop {
            if let Some(after) = self.matches_at(from)
                && (after.is_empty() || !is_last || !self.star)
            {
                return Some(after);
            }
            match from.split_first() {
                Some((byte, after)) if self.star && *byte != b'/' => from = after,
                Some(_) | None => return None,
            }
        }
    }

    fn matches_at<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let mut rest = name;
        for unit in &self.units {
            let (character, length) = first_char(rest)?;
            if !unit.matches(character) {
                return None;
            }
            rest = rest.get(length..)?;
        }
        Some(rest)
    }
}

/// The first character and its length in bytes; a byte that begins no character is U+FFFD of length 1.
pub(crate) fn first_char(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let head = bytes.get(..bytes.len().min(4))?;
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?,
    };
    Some(
        valid
            .chars()
            .next()
            .map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8())),
    )
}

/// Whether a word contains anything that makes it a pattern.
#[must_use]
pub fn has_wildcard(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pattern | name | result`, result being yes, no or bad.
    const TABLE: &str = r"
        abc | abc | yes
        * | abc | yes
        * | a/b | no
        *c | abc | yes
        a* | a | yes
        a* | abc | yes
        a* | ab/c | no
        a*/b | abc/b | yes
        a*/b | a/c/b | no
        a*b*c*d*e*/f | axbxcxdxe/f | yes
        a*b*c*d*e*/f | axbxcxdxexxx/f | yes
        a*b*c*d*e*/f | axbxcxdxe/xxx/f | no
        a*b*c*d*e*/f | axbxcxdxexxx/fff | no
        a*b?c*x | abxbbxdbxebxczzx | yes
        a*b?c*x | abxbbxdbxebxczzy | no
        ab[c] | abc | yes
        ab[b-d] | abc | yes
        ab[e-g] | abc | no
        ab[^c] | abc | no
        ab[^b-d] | abc | no
        ab[^e-g] | abc | yes
        a\*b | a*b | yes
        a\*b | ab | no
        a?b | a☺b | yes
        a[^a]b | a☺b | yes
        a???b | a☺b | no
        a[^a][^a][^a]b | a☺b | no
        [a-ζ]* | α | yes
        *[a-ζ] | A | no
        a?b | a/b | no
        a*b | a/b | no
        [\]a] | ] | yes
        [\-] | - | yes
        [x\-] | x | yes
        [x\-] | - | yes
        [x\-] | z | no
        [\-x] | x | yes
        [\-x] | a | no
        [] | a | bad
        [-] | - | bad
        [x-] | x | bad
        [-x] | x | bad
        \ | a | bad
        [a-b-c] | a | bad
        [ | a | bad
        [^ | a | bad
        [^bc | a | bad
        a[ | a | bad
        a[ | ab | bad
        [b-a] | a | no
        *x | xxx | yes
        **x | xxx | yes
        ab** | abcd | yes
        a/**/b | a/x/b | yes
        a/**/b | a/x/y/b | no
        [^a] | / | yes
        *[^x]*b | ab/b | no
        sp?ace | sp ace | yes
    ";

    #[test]
    fn patterns_match_as_in_go() {
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let fields: Vec<_> = line.split(" | ").collect();
            let [pattern, name, wanted] = fields[..] else {
                panic!("`{line}` has not 3 fields")
            };
            let found = match Glob::new(pattern) {
                Ok(glob) if glob.matches(name.as_bytes()) => "yes",
                Ok(_) => "no",
                Err(_) => "bad",
            };
            assert_eq!(found, wanted, "{line}");
        }
    }

    #[test]
    fn empty_pattern_matches_the_empty_name_only() {
        let glob = Glob::new("").unwrap();
        assert!(glob.matches(b"") && !glob.matches(b"a"));
    }

    #[test]
    fn a_byte_that_is_no_utf8_is_one_character() {
        let glob = Glob::new("a?b").unwrap();
        assert!(glob.matches(b"a\xffb") && !glob.matches(b"a\xff\xffb"));
    }

    #[test]
    fn a_truncated_character_at_the_end_is_single_bytes() {
        assert_eq!(first_char(b"\xe2\x98"), Some(('\u{fffd}', 1)));
        assert_eq!(first_char("☺x".as_bytes()), Some(('☺', 3)));
    }
}
