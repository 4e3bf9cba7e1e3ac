//! `.gitmodules`, and where its URLs lead. Pure.

use std::collections::BTreeMap;

use url::Url;

use super::{GitReference, Remote};

/// What `.gitmodules` says of one submodule.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Submodule {
    /// Relative to the repository's root.
    pub(super) path: Vec<u8>,
    pub(super) url: String,
    /// `update = none`: git leaves it alone.
    pub(super) is_skipped: bool,
}

/// Reads the file. The error is the number of the line that is malformed. git-config(1) § Syntax.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Submodule>, usize> {
    let text = String::from_utf8_lossy(text);
    let mut modules: BTreeMap<String, Submodule> = BTreeMap::new();
    let mut section: Option<String> = None;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let (kind, name) = header_parts(header).ok_or(number + 1)?;
            section = kind
                .eq_ignore_ascii_case("submodule")
                .then(|| name.to_owned());
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let mut value = value.trim_start().to_owned();
        while value.ends_with('\\') && !value.ends_with("\\\\") {
            value.pop();
            match lines.next() {
                Some((_, more)) => value.push_str(more.trim_end()),
                None => return Err(number + 1),
            }
        }
        let value = unquoted(&value).ok_or(number + 1)?;
        let Some(name) = &section else { continue };
        let module = modules.entry(name.clone()).or_default();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" => module.path = value.into_bytes(),
            "url" => module.url = value,
            "update" => module.is_skipped = value == "none",
            _ => {}
        }
    }
    Ok(modules.into_values().collect())
}

/// `kind "name"]` or `kind]`: kind and name.
fn header_parts(header: &str) -> Option<(&str, &str)> {
    let end = header.rfind(']')?;
    let (header, _) = header.split_at_checked(end)?;
    let Some((kind, name)) = header.split_once(char::is_whitespace) else {
        return Some((header, ""));
    };
    let name = name.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some((kind, name))
}

/// A value without quotes, escapes and comment.
fn unquoted(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut kept = 0;
    let mut quoted = false;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                quoted = !quoted;
                kept = value.len();
            }
            '\\' => {
                value.push(match letters.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'b' => '\u{8}',
                    same @ ('"' | '\\') => same,
                    _ => return None,
                });
                kept = value.len();
            }
            '#' | ';' if !quoted => break,
            letter => {
                value.push(letter);
                if quoted || !letter.is_whitespace() {
                    kept = value.len();
                }
            }
        }
    }
    value.truncate(kept);
    (!quoted).then_some(value)
}

/// Where a submodule's URL leads from the repository at `parent`; `None` for what is no repository.
pub(super) fn resolve(parent: &Remote, url: &str) -> Option<Remote> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return absolute(url);
    }
    match parent {
        Remote::Http { url: base, user } => Some(Remote::Http {
            url: joined(base, url)?,
            user: user.clone(),
        }),
        Remote::Git { url: base } => Some(Remote::Git {
            url: joined(base, url)?,
        }),
        Remote::Ssh { .. } => None,
    }
}

/// Any URL of a repository; http and https need no `.git` here.
fn absolute(text: &str) -> Option<Remote> {
    if let Ok(mut url) = Url::parse(text)
        && matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
    {
        // What a repository says in public is no credential.
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        url.set_fragment(None);
        url.set_query(None);
        return Some(Remote::Http { url, user: None });
    }
    GitReference::parse(text)
        .ok()
        .map(|reference| reference.remote)
}

/// git-submodule(1): relative to the parent's URL, whose last component is the parent itself.
fn joined(base: &Url, relative: &str) -> Option<Url> {
    let mut components: Vec<&str> = base.path().trim_matches('/').split('/').collect();
    for component in relative.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()?),
            name => components.push(name),
        }
    }
    let mut url = base.clone();
    url.set_path(&components.join("/"));
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str, url: &str) -> Submodule {
        Submodule {
            path: path.into(),
            url: url.to_owned(),
            is_skipped: false,
        }
    }

    #[test]
    fn submodules_are_read_as_git_reads_its_configuration() {
        let text = b"# list\n[submodule \"a\"]\n\tpath = lib/a\n\turl = ../a.git ; here\n\
            [Submodule \"b b\"]\r\n  PATH=\"lib b\"\n url = https://h.test/\\\nb.git\n branch = x\n\
            [core]\n hooksPath = /evil\n[submodule \"c\"]\npath=c\nurl=\"h;t#\\\"t\"\nupdate = none\n[submodule \"d\"]\nfetchRecurseSubmodules\n";
        let expected = vec![
            module("lib/a", "../a.git"),
            module("lib b", "https://h.test/b.git"),
            Submodule {
                is_skipped: true,
                ..module("c", "h;t#\"t")
            },
            module("", ""),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn a_malformed_line_is_named() {
        for (text, line) in [
            ("[submodule \"a\"\n", 1),
            ("[submodule a]\n", 1),
            ("[submodule \"a\"]\npath = \"x\n", 2),
            ("[submodule \"a\"]\n\npath = \\x\n", 3),
            ("[submodule \"a\"]\npath = x\\\n", 2),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(line), "{text}");
        }
    }

    #[test]
    fn urls_of_submodules_are_absolute_or_relative_to_their_parent() {
        let parent = |text: &str| GitReference::parse(text).unwrap().remote;
        let http = "https://h.test/o/r.git";
        for (from, url, expected) in [
            (http, "../s.git", Some("https://h.test/o/s.git")),
            (http, "../../p/s", Some("https://h.test/p/s")),
            (http, "./s.git", Some("https://h.test/o/r.git/s.git")),
            (http, "../../../../s", None),
            ("git://h.test/o/r", "../s", Some("git://h.test/o/s")),
            (http, "https://u:p@x.test/s", Some("https://x.test/s")),
            (http, "git://x.test/s", Some("git://x.test/s")),
            (http, "git@x.test:o/s.git", Some("git@x.test:o/s.git")),
            (http, "ssh://git@x.test/s", Some("ssh://git@x.test/s")),
            (http, "file:///etc", None),
            (http, "/etc", None),
            (http, "ext::sh -c id", None),
            (http, "--upload-pack=x", None),
            (http, "", None),
        ] {
            let found = resolve(&parent(from), url).map(|remote| remote.to_string());
            assert_eq!(found.as_deref(), expected, "{from} {url}");
        }
    }
}
