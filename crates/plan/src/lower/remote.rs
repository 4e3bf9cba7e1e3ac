//! Sources that are not paths.

/// Whether a source of COPY or ADD lies elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remote {
    /// A file behind `http://` or `https://`.
    Url,
    /// A git repository.
    Git,
}

/// Tells what a source is by its text; none is a path. The rules are BuildKit's.
pub(super) fn classify(source: &str) -> Option<Remote> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(classify(source), expected, "{source}");
        }
    }
}
