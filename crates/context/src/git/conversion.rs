//! What git does to the content of a file on its way to the worktree because `.gitattributes` says so: `gitattributes(5)`, with no configuration
//! at all. Pure.

use gix_hash::ObjectId;

/// What the attributes of a path ask for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Conversion {
    /// `ident`
    pub(super) ident: bool,
    /// Whether line ends become CRLF.
    pub(super) crlf: LineEnds,
    /// `working-tree-encoding`
    pub(super) encoding: Option<Encoding>,
}

/// What becomes of line ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) enum LineEnds {
    /// They stay.
    #[default]
    Kept,
    /// Every LF becomes CRLF (`eol=crlf`).
    Crlf,
    /// The same, if the content looks like text (`text=auto eol=crlf`).
    CrlfOfText,
}

/// An encoding of the worktree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Encoding {
    wide: bool,
    big_endian: bool,
    bom: bool,
}

/// The value of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State<'a> {
    Set,
    Unset,
    Value(&'a str),
    Unspecified,
}

/// The values that matter.
#[derive(Clone, Copy, Debug)]
pub(super) struct States<'a> {
    pub(super) text: State<'a>,
    pub(super) crlf: State<'a>,
    pub(super) eol: State<'a>,
    pub(super) ident: State<'a>,
    pub(super) encoding: State<'a>,
}

impl Conversion {
    /// # Errors
    /// The name of an encoding that is not known.
    pub(super) fn of(states: &States<'_>) -> Result<Self, String> {
        Ok(Self {
            ident: states.ident == State::Set,
            crlf: line_ends(states),
            encoding: encoding(states.encoding)?,
        })
    }

    /// The content of the file for a blob. What is no UTF-8 is not encoded, as git has it.
    pub(super) fn apply(&self, id: ObjectId, blob: Vec<u8>) -> Vec<u8> {
        let mut content = blob;
        if content.is_empty() {
            return content;
        }
        if self.ident {
            content = expand_ident(&content, id);
        }
        if self.crlf != LineEnds::Kept {
            content = with_crlf(content, self.crlf);
        }
        match self.encoding {
            Some(encoding) => encoding.apply(content),
            None => content,
        }
    }
}

/// git's `convert_attrs`, for a machine whose own line end is LF and that converts none by itself.
fn line_ends(states: &States<'_>) -> LineEnds {
    let of = |state| match state {
        State::Set => Some(Kind::Text),
        State::Unset => Some(Kind::Binary),
        State::Value("input") => Some(Kind::Input),
        State::Value("auto") => Some(Kind::Auto),
        State::Value(_) | State::Unspecified => None,
    };
    let kind = of(states.text).or_else(|| of(states.crlf));
    match (kind, states.eol) {
        (Some(Kind::Auto), State::Value("crlf")) => LineEnds::CrlfOfText,
        (None | Some(Kind::Text | Kind::Input), State::Value("crlf")) => LineEnds::Crlf,
        (_, _) => LineEnds::Kept,
    }
}

/// What `text` makes of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
    Input,
    Auto,
}

fn encoding(state: State<'_>) -> Result<Option<Encoding>, String> {
    let State::Value(name) = state else {
        return Ok(None);
    };
    let unicode = |wide, big_endian, bom| {
        Ok(Some(Encoding {
            wide,
            big_endian,
            bom,
        }))
    };
    match name.to_ascii_uppercase().replace("UTF-", "UTF").as_str() {
        "" | "UTF8" => Ok(None),
        // As glibc encodes where nothing is said of the order: in that of the machine, with a mark.
        "UTF16" | "UTF16LE-BOM" => unicode(false, false, true),
        "UTF16LE" => unicode(false, false, false),
        "UTF16BE" => unicode(false, true, false),
        "UTF16BE-BOM" => unicode(false, true, true),
        "UTF32" => unicode(true, false, true),
        "UTF32LE" => unicode(true, false, false),
        "UTF32BE" => unicode(true, true, false),
        _ => Err(name.to_owned()),
    }
}

impl Encoding {
    fn apply(self, content: Vec<u8>) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(&content) else {
            return content;
        };
        let mut encoded = Vec::with_capacity(content.len() * 2);
        let mark = self.bom.then_some('\u{feff}');
        for letter in mark.into_iter().chain(text.chars()) {
            self.append(letter, &mut encoded);
        }
        encoded
    }

    fn append(self, letter: char, encoded: &mut Vec<u8>) {
        let mut units = [0; 2];
        match (self.wide, self.big_endian) {
            (true, true) => encoded.extend_from_slice(&u32::from(letter).to_be_bytes()),
            (true, false) => encoded.extend_from_slice(&u32::from(letter).to_le_bytes()),
            (false, true) => {
                let units = letter.encode_utf16(&mut units).iter();
                encoded.extend(units.flat_map(|unit| unit.to_be_bytes()));
            }
            (false, false) => {
                let units = letter.encode_utf16(&mut units).iter();
                encoded.extend(units.flat_map(|unit| unit.to_le_bytes()));
            }
        }
    }
}

/// `$Id$` and `$Id: …$` become `$Id: <blob> $`; what somebody else has expanded stays (git's `ident_to_worktree`).
fn expand_ident(content: &[u8], id: ObjectId) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        let (before, tail) = rest.split_at(at + 1);
        expanded.extend_from_slice(before);
        rest = match keyword_end(tail) {
            Some(end) => {
                expanded.extend_from_slice(format!("Id: {id} $").as_bytes());
                tail.get(end..).unwrap_or_default()
            }
            None => tail,
        };
    }
    expanded.extend_from_slice(rest);
    expanded
}

/// Where the keyword ends that begins behind a `$`.
fn keyword_end(tail: &[u8]) -> Option<usize> {
    let inner = tail.strip_prefix(b"Id")?;
    if inner.starts_with(b"$") {
        return Some(3);
    }
    let inner = inner.strip_prefix(b":")?;
    let end = inner.iter().position(|byte| matches!(byte, b'$' | b'\n'))?;
    let (text, dollar) = inner.split_at(end);
    if dollar.starts_with(b"\n") {
        return None;
    }
    // One space in front and one behind are git's own; any other says that somebody else wrote this.
    let text = text.get(1..).unwrap_or_default();
    let space = text.iter().position(|byte| *byte == b' ');
    let is_foreign = space.is_some_and(|space| space + 1 < text.len());
    (!is_foreign).then_some(3 + end + 1)
}

/// Every lone LF becomes CRLF, unless the content is such that git would not dare.
fn with_crlf(content: Vec<u8>, ends: LineEnds) -> Vec<u8> {
    let statistics = Statistics::of(&content);
    let dares = match ends {
        LineEnds::Kept => false,
        LineEnds::Crlf => true,
        LineEnds::CrlfOfText => statistics.crlf == 0 && !statistics.is_binary(),
    };
    if !dares || statistics.lone_lf == 0 {
        return content;
    }
    let mut converted = Vec::with_capacity(content.len() + statistics.lone_lf);
    let mut before = 0;
    for byte in content {
        if byte == b'\n' && before != b'\r' {
            converted.push(b'\r');
        }
        converted.push(byte);
        before = byte;
    }
    converted
}

/// git's `gather_stats`.
#[derive(Default)]
struct Statistics {
    lone_cr: usize,
    lone_lf: usize,
    crlf: usize,
    nul: usize,
    printable: usize,
    unprintable: usize,
}

impl Statistics {
    fn of(content: &[u8]) -> Self {
        let mut found = Self::default();
        let mut bytes = content.iter().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\r' if bytes.next_if_eq(&&b'\n').is_some() => found.crlf += 1,
                b'\r' => found.lone_cr += 1,
                b'\n' => found.lone_lf += 1,
                0 => {
                    found.nul += 1;
                    found.unprintable += 1;
                }
                // Backspace, tab, escape, form feed.
                8 | 9 | 27 | 12 | 32..=126 | 128.. => found.printable += 1,
                _ => found.unprintable += 1,
            }
        }
        // An end-of-file mark of DOS.
        if content.last() == Some(&26) {
            found.unprintable -= 1;
        }
        found
    }

    fn is_binary(&self) -> bool {
        self.lone_cr > 0 || self.nul > 0 || (self.printable >> 7) < self.unprintable
    }
}
