//! Sources that are not paths.

/// What a source is that lies elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// A file behind `http://` or `https://`.
    Url,
    /// A git repository.
    Git,
}

/// Tells what a source is by its text; none is a path. The rules are BuildKit's.
#[must_use]
pub fn remote_kind(source: &str) -> Option<Remote> {
    if let Some(rest) = strip_scheme(source, &["http", "https"])
        && is_git_path(rest)
    {
        return Some(Remote::Git);
    }
    if source.starts_with("http://") || source.starts_with("https://") {
        return Some(Remote::Url);
    }
    let is_git = strip_scheme(source, &["git", "ssh"]).is_some() || is_ssh_short_form(source);
    is_git.then_some(Remote::Git)
}

/// What is behind one of these schemes, in whatever case it is written.
fn strip_scheme<'a>(source: &'a str, schemes: &[&str]) -> Option<&'a str> {
    let (scheme, rest) = source.split_once("://")?;
    let known = |known: &&str| scheme.eq_ignore_ascii_case(known);
    schemes.iter().any(known).then_some(rest)
}

/// Whether the path of a URL, without query and fragment, ends in `.git`. COMPAT(buildkit): with a slash behind it, it is a file.
fn is_git_path(rest: &str) -> bool {
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    path.contains('/') && path.strip_suffix(".git").is_some()
}

/// `user@host:path`
fn is_ssh_short_form(source: &str) -> bool {
    let Some((user, rest)) = source.split_once('@') else {
        return false;
    };
    let Some((host, _)) = rest.split_once(':') else {
        return false;
    };
    let plain = |text: &str, marks: &[char]| {
        !text.is_empty()
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || marks.contains(&letter))
    };
    plain(user, &['-', '_']) && plain(host, &['-', '.'])
}

/// A URL for people: `https://user:password@host/` without user and password, `https://token@host/` without the token. A user
/// alone in front of any other protocol is no secret: `ssh://git@host/` stays.
pub(crate) fn without_password(url: &str) -> String {
    // COMPAT(buildkit): this is how it hides them in what it keeps.
    const HIDDEN: &str = "xxxxx";
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user, host)) = authority.rsplit_once('@') else {
        return url.to_owned();
    };
    match user.split_once(':') {
        Some(_) => format!("{scheme}://{HIDDEN}:{HIDDEN}@{host}{path}"),
        None if matches!(scheme, "http" | "https") => format!("{scheme}://{HIDDEN}@{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_urls_are_not_shown() {
        for (url, shown) in [
            ("https://h/p@q?a=b:c@d", "https://h/p@q?a=b:c@d"),
            ("https://u:p@h/p", "https://xxxxx:xxxxx@h/p"),
            ("https://u:p@q:r@h:1#x", "https://xxxxx:xxxxx@h:1#x"),
            ("https://:p@h", "https://xxxxx:xxxxx@h"),
            ("https://ghp_token@h/o/r.git", "https://xxxxx@h/o/r.git"),
            ("ssh://git@h/r", "ssh://git@h/r"),
            ("ssh://git:p@h/r", "ssh://xxxxx:xxxxx@h/r"),
            ("git@h:o/r.git", "git@h:o/r.git"),
        ] {
            assert_eq!(without_password(url), shown, "{url}");
        }
    }

    #[test]
    fn sources_are_told_apart_by_their_text() {
        for (source, expected) in [
            ("https://h/f.tar", Some(Remote::Url)),
            ("http://h/r.git", Some(Remote::Git)),
            ("https://h/r.git#v1:dir", Some(Remote::Git)),
            ("https://h/r.git?ref=v1", Some(Remote::Git)),
            ("https://h/r.git/", Some(Remote::Url)),
            ("HTTPS://h/r.git", Some(Remote::Git)),
            ("Git://h/r", Some(Remote::Git)),
            ("https://x.git", Some(Remote::Url)),
            ("httpss://h/r.git", None),
            ("HTTPS://h/f.tar", None),
            ("git@h.example:o/r.git", Some(Remote::Git)),
            ("ssh://git@h/r", Some(Remote::Git)),
            ("git://h/r", Some(Remote::Git)),
            ("a/b@c", None),
            ("./x:y", None),
            ("httpd.conf", None),
            ("", None),
        ] {
            assert_eq!(remote_kind(source), expected, "{source}");
        }
    }
}
