use std::str::FromStr;

use super::word::{Word, split};
use crate::{
    Change, ContentIdentity, Device, Entry, Error, FileContent, ImagePath, Metadata, Mode, Origin,
    Timestamp, Tree, Xattrs,
};

/// A line that is not notation.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
#[non_exhaustive]
pub struct NotationError {
    /// Which line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
    /// What the tree said, if it was asked.
    #[source]
    pub source: Option<Error>,
}

type Parsed<T> = Result<T, String>;

/// Reads changes, one from each line.
///
/// # Errors
/// [`NotationError`] with the first line that is none.
pub fn parse_changes(text: &str) -> Result<Vec<Change>, NotationError> {
    lines(text)
        .map(|item| item.map(|(_, change)| change))
        .collect()
}

/// Reads a tree: the entries in the order in which they stand, without whiteouts.
///
/// # Errors
/// [`NotationError`] with the first line that is no entry, or that the tree refuses.
pub fn parse_tree(text: &str) -> Result<Tree, NotationError> {
    let mut tree = Tree::new();
    for item in lines(text) {
        let (line, change) = item?;
        if matches!(change, Change::Delete { .. } | Change::ClearDir { .. }) {
            return Err(NotationError {
                line,
                problem: "a tree has no whiteouts".to_owned(),
                source: None,
            });
        }
        tree.apply(change).map_err(|error| NotationError {
            line,
            problem: "the entry has no place in the tree".to_owned(),
            source: Some(error),
        })?;
    }
    Ok(tree)
}

fn lines(text: &str) -> impl Iterator<Item = Result<(usize, Change), NotationError>> {
    text.lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(text, line)| match parse_line(text) {
            Ok(change) => Ok((line, change)),
            Err(problem) => Err(NotationError {
                line,
                problem,
                source: None,
            }),
        })
}

/// The words of a line from left to right.
struct Words {
    rest: std::iter::Peekable<std::vec::IntoIter<Word>>,
}

impl Words {
    fn next(&mut self, what: &str) -> Parsed<Word> {
        self.rest
            .next()
            .ok_or_else(|| format!("it ends before {what}"))
    }

    fn text(&mut self, what: &str) -> Parsed<String> {
        let word = self.next(what)?;
        word.text()
            .map(str::to_owned)
            .ok_or_else(|| format!("{what} is in quotes or not UTF-8"))
    }

    fn parse<T: FromStr>(&mut self, what: &str) -> Parsed<T> {
        let text = self.text(what)?;
        text.parse().map_err(|_| format!("`{text}` is not {what}"))
    }

    fn pair<T: FromStr>(&mut self, separator: char, what: &str) -> Parsed<(T, T)> {
        let text = self.text(what)?;
        let wrong = || format!("`{text}` is not {what}");
        let (left, right) = text.split_once(separator).ok_or_else(wrong)?;
        match (left.parse(), right.parse()) {
            (Ok(left), Ok(right)) => Ok((left, right)),
            _ => Err(wrong()),
        }
    }

    fn path(&mut self, what: &str) -> Parsed<ImagePath> {
        let word = self.next(what)?;
        let shown = word.bytes.escape_ascii();
        if word.bytes.first() != Some(&b'/') {
            return Err(format!(
                "`{shown}` is not {what}: it does not start with `/`"
            ));
        }
        ImagePath::parse(&word.bytes).map_err(|error| error.to_string())
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        let text = self.text(sign)?;
        (text == sign)
            .then_some(())
            .ok_or_else(|| format!("`{text}` stands where `{sign}` should"))
    }

    /// The next word without its first letter, if it is `prefix`.
    fn marked(&mut self, prefix: char) -> Option<String> {
        let text = self.rest.peek()?.text()?.strip_prefix(prefix)?.to_owned();
        self.rest.next();
        Some(text)
    }
}

fn parse_line(line: &str) -> Parsed<Change> {
    let words = split(line).ok_or("a quote or an escape does not end")?;
    let mut words = Words {
        rest: words.into_iter().peekable(),
    };
    let kind = words.text("a kind")?;
    let change = match kind.as_str() {
        "-" => Change::Delete {
            path: words.path("a path")?,
        },
        "!" => Change::ClearDir {
            path: words.path("a path")?,
        },
        "h" => {
            let path = words.path("a path")?;
            words.expect("=")?;
            let target = words.path("a target")?;
            Change::Link { path, target }
        }
        kind => parse_put(kind, &mut words)?,
    };
    match words.rest.next() {
        None => Ok(change),
        Some(word) => Err(format!("`{}` is too much", word.bytes.escape_ascii())),
    }
}

fn parse_put(kind: &str, words: &mut Words) -> Parsed<Change> {
    if !matches!(kind, "d" | "f" | "l" | "c" | "b" | "p") {
        return Err(format!("`{kind}` is not a kind of entry"));
    }
    let mode = match kind {
        "l" => Mode::SYMLINK,
        _ => parse_mode(&words.text("a mode")?)?,
    };
    let (uid, gid) = words.pair(':', "an owner `uid:gid`")?;
    let size = match kind {
        "f" => parse_size(words)?,
        _ => None,
    };
    let device = match kind {
        "c" | "b" => words.pair(',', "device numbers `major,minor`")?,
        _ => (0, 0),
    };
    let mtime = match words.marked('@') {
        Some(text) => parse_time(&text).ok_or_else(|| format!("`@{text}` is not a time"))?,
        None => Timestamp::default(),
    };
    let path = words.path("a path")?;
    let device = Device {
        major: device.0,
        minor: device.1,
    };
    let entry = match kind {
        "d" => Entry::Directory,
        "f" => Entry::File(parse_content(size, words)?),
        "l" => {
            words.expect("->")?;
            Entry::Symlink(words.next("a target")?.bytes.into())
        }
        "c" => Entry::CharDevice(device),
        "b" => Entry::BlockDevice(device),
        _ => Entry::Fifo,
    };
    Ok(Change::Put {
        path,
        entry,
        metadata: Metadata {
            mode,
            uid,
            gid,
            mtime,
            xattrs: parse_xattrs(words)?,
        },
    })
}

fn parse_mode(text: &str) -> Parsed<Mode> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|bits| *bits <= 0o7777)
        .map(Mode::new)
        .ok_or_else(|| format!("`{text}` is not a mode"))
}

/// A size stands before the time and the path, neither of which starts with a digit.
fn parse_size(words: &mut Words) -> Parsed<Option<u64>> {
    let is_number = |word: &Word| {
        word.text()
            .is_some_and(|text| text.starts_with(|char: char| char.is_ascii_digit()))
    };
    match words.rest.peek() {
        Some(word) if is_number(word) => words.parse("a size").map(Some),
        _ => Ok(None),
    }
}

/// Seconds, and up to nine digits of a fraction that counts forward, before 1970 as well as after it.
fn parse_time(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let short = (1..=9).contains(&fraction.len());
    if !short || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Timestamp {
        seconds: seconds.parse().ok()?,
        nanoseconds: format!("{fraction:0<9}").parse().ok()?,
    })
}

fn parse_content(size: Option<u64>, words: &mut Words) -> Parsed<FileContent> {
    let word = words.next("the content")?;
    if word.quote == Some(0) {
        let content = FileContent::inline(&word.bytes);
        return match size {
            Some(size) if size != content.size => Err(format!(
                "the content has {} bytes and not {size}",
                content.size
            )),
            _ => Ok(content),
        };
    }
    let text = word
        .text()
        .ok_or("the content is neither text nor digest")?;
    let identity = match text.strip_prefix('?') {
        Some(number) => number
            .parse()
            .map(ContentIdentity::Unique)
            .map_err(|_| format!("`{text}` is not a number"))?,
        None => text
            .parse()
            .map(ContentIdentity::Sha256)
            .map_err(|_| format!("`{text}` is not a digest"))?,
    };
    Ok(FileContent {
        size: size.ok_or("content that is not at hand needs a size")?,
        identity,
        origin: Origin::Live,
    })
}

fn parse_xattrs(words: &mut Words) -> Parsed<Xattrs> {
    let mut xattrs = Xattrs::default();
    for word in words.rest.by_ref() {
        let shown = word.bytes.escape_ascii().to_string();
        let wrong = || format!("`{shown}` is not an attribute `name=\"value\"`");
        let quote = word.quote.ok_or_else(wrong)?;
        let (name, value) = word.bytes.split_at_checked(quote).ok_or_else(wrong)?;
        let name = name.strip_suffix(b"=").filter(|name| !name.is_empty());
        xattrs.insert(name.ok_or_else(wrong)?, value);
    }
    Ok(xattrs)
}
