use super::*;

/// One line: remote, then what is said.
fn shown(reference: &GitReference) -> String {
    let mut words = vec![reference.remote.to_string()];
    let mut word = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("{name}={value}")));
    };
    word("ref", reference.revision.clone());
    word("subdir", reference.subdirectory.clone());
    word("checksum", reference.checksum.clone());
    word("keep", reference.keep_git_dir.map(|keep| keep.to_string()));
    word(
        "submodules",
        (!reference.submodules).then(|| "no".to_owned()),
    );
    word(
        "mtime",
        (reference.times == Times::Commit).then(|| "commit".to_owned()),
    );
    word(
        "by-commit",
        reference.fetch_by_commit.then(|| "yes".to_owned()),
    );
    words.join(" ")
}

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

/// T-ADD-09
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_form_of_reference_says_what_is_wanted() {
    for (text, expected) in [
        ("https://h.test/r.git", "https://h.test/r.git"),
        ("http://h.test:8080/a/r.git", "http://h.test:8080/a/r.git"),
        ("HTTPS://h.test/r.git", "https://h.test/r.git"),
        ("https://h.test/r.git#v1", "https://h.test/r.git ref=v1"),
        (
            "https://h.test/r.git#a/b:c/d",
            "https://h.test/r.git ref=a/b subdir=c/d",
        ),
        ("https://h.test/r.git#:c", "https://h.test/r.git subdir=c"),
        ("https://h.test/r.git#", "https://h.test/r.git"),
        ("https://h.test/r.git#a%2Fb", "https://h.test/r.git ref=a/b"),
        (
            "https://h.test/r.git?ref=v1&subdir=/s",
            "https://h.test/r.git ref=v1 subdir=/s",
        ),
        (
            "https://h.test/r.git?tag=v1",
            "https://h.test/r.git ref=refs/tags/v1",
        ),
        (
            "https://h.test/r.git?tag=refs/tags/v1",
            "https://h.test/r.git ref=refs/tags/v1",
        ),
        (
            "https://h.test/r.git?branch=main",
            "https://h.test/r.git ref=refs/heads/main",
        ),
        (
            "https://h.test/r.git?ref=v1#v1",
            "https://h.test/r.git ref=v1",
        ),
        (
            "https://h.test/r.git?subdir=s#v1:s",
            "https://h.test/r.git ref=v1 subdir=s",
        ),
        (
            "https://h.test/r.git?commit=abc",
            "https://h.test/r.git ref=abc checksum=abc",
        ),
        (
            "https://h.test/r.git?checksum=abc#v1",
            "https://h.test/r.git ref=v1 checksum=abc",
        ),
        (
            "https://h.test/r.git?commit=abc&checksum=abc#v1",
            "https://h.test/r.git ref=v1 checksum=abc",
        ),
        (
            "https://h.test/r.git?keep-git-dir",
            "https://h.test/r.git keep=true",
        ),
        (
            "https://h.test/r.git?keep-git-dir=",
            "https://h.test/r.git keep=true",
        ),
        (
            "https://h.test/r.git?keep-git-dir=0",
            "https://h.test/r.git keep=false",
        ),
        (
            "https://h.test/r.git?submodules=F",
            "https://h.test/r.git submodules=no",
        ),
        ("https://h.test/r.git?submodules", "https://h.test/r.git"),
        (
            "https://h.test/r.git?mtime=commit",
            "https://h.test/r.git mtime=commit",
        ),
        (
            "https://h.test/r.git?mtime=checkout",
            "https://h.test/r.git",
        ),
        ("https://h.test/r.git?", "https://h.test/r.git"),
        ("git://h.test/r", "git://h.test/r"),
        (
            "git://h.test:9418/r#v1:s",
            "git://h.test:9418/r ref=v1 subdir=s",
        ),
        (
            "ssh://git@h.test:2222/r#v1",
            "ssh://git@h.test:2222/r ref=v1",
        ),
        (
            "git@h.test:o/r.git#v1:s",
            "git@h.test:o/r.git ref=v1 subdir=s",
        ),
        ("git@h.test:o/r.git?ref=v1", "git@h.test:o/r.git ref=v1"),
        ("github.com/o/r#v1", "https://github.com/o/r ref=v1"),
        ("https://u:p@h.test/r.git", "https://h.test/r.git"),
        ("ssh://u:p@h.test/r", "ssh://u@h.test/r"),
    ] {
        let reference = GitReference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(shown(&reference), expected, "{text}");
    }
    let by_commit = format!("https://h.test/r.git?fetch-by-commit=true&ref=v1&commit={ID}");
    let expected = format!("https://h.test/r.git ref=v1 checksum={ID} by-commit=yes");
    assert_eq!(shown(&GitReference::parse(&by_commit).unwrap()), expected);
}

/// T-ADD-09
#[test]
fn what_contradicts_itself_or_means_nothing_is_an_error() {
    for (text, expected) in [
        (
            "https://h.test/r.git?ref=v1#v2",
            "ref conflicts: `v2` and `v1`",
        ),
        (
            "https://h.test/r.git?tag=v1#v1",
            "ref conflicts: `v1` and `refs/tags/v1`",
        ),
        (
            "https://h.test/r.git?branch=a&ref=b",
            "ref conflicts: `b` and `refs/heads/a`",
        ),
        (
            "https://h.test/r.git?branch=a&tag=a",
            "query `branch` conflicts with query `tag`",
        ),
        (
            "https://h.test/r.git?subdir=a#v1:b",
            "subdir conflicts: `b` and `a`",
        ),
        (
            "https://h.test/r.git?commit=a&checksum=b",
            "checksum conflicts: `a` and `b`",
        ),
        (
            "https://h.test/r.git?ref=a&ref=a",
            "query `ref` has multiple values",
        ),
        ("https://h.test/r.git?ref", "query `ref` has no value"),
        ("https://h.test/r.git?mtime=", "query `mtime` has no value"),
        ("https://h.test/r.git?depth=1", "unexpected query `depth`"),
        (
            "https://h.test/r.git?submodules=yes",
            "query `submodules`: `yes` is not true or false",
        ),
        (
            "https://h.test/r.git?keep-git-dir=yes",
            "query `keep-git-dir`: `yes` is not true or false",
        ),
        (
            "https://h.test/r.git?mtime=now",
            "query `mtime`: `now` is not checkout or commit",
        ),
        (
            "https://h.test/r.git?fetch-by-commit=true&ref=v1",
            "query `fetch-by-commit` needs a full commit id",
        ),
        (
            "https://h.test/r.git?fetch-by-commit&commit=abc",
            "query `fetch-by-commit` needs a full commit id",
        ),
        (
            "https://h.test/r.git?commit=xyz",
            "checksum `xyz` is not a commit id",
        ),
        (
            "https://h.test/r.git?commit=ABC",
            "checksum `ABC` is not a commit id",
        ),
        ("https://h.test/r", "not a git repository"),
        ("https://h.test/r.git/", "not a git repository"),
        ("https://h.test/r.git.bar", "not a git repository"),
        ("http://h.test/r.git:#branch", "not a git repository"),
        ("ftp://h.test/r.git", "not a git repository"),
        ("h.test/o/r.git", "not a git repository"),
        ("./.git", "not a git repository"),
        ("a@b", "not a git repository"),
        ("git:///r", "not a git repository"),
    ] {
        let error = GitReference::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

/// T-ADD-08, T-ADD-09
#[test]
fn flags_may_repeat_what_the_reference_says_and_not_contradict_it() {
    let with = |text: &str, keep, checksum| {
        let reference = GitReference::parse(text).unwrap();
        reference
            .with_flags(keep, checksum)
            .map(|reference| shown(&reference))
    };
    let plain = "https://h.test/r.git";
    assert_eq!(
        with(plain, Some(true), Some("ab")).unwrap(),
        format!("{plain} checksum=ab keep=true")
    );
    assert_eq!(with(plain, None, Some("")).unwrap(), plain);
    let said = "https://h.test/r.git?keep-git-dir=true&checksum=ab#v1";
    assert_eq!(
        with(said, Some(true), Some("ab")).unwrap(),
        format!("{plain} ref=v1 checksum=ab keep=true")
    );
    let error = |keep, checksum| with(said, keep, checksum).unwrap_err().to_string();
    assert_eq!(
        error(Some(false), None),
        "keep-git-dir conflicts: `true` and `false`"
    );
    assert_eq!(error(None, Some("cd")), "checksum conflicts: `ab` and `cd`");
    assert!(error(None, Some("sha256:00")).starts_with("checksum conflicts"));
    let error = with(plain, None, Some("sha256:00"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("checksum `sha256:00` is not a commit id"),
        "{error}"
    );
}

/// T-ADD-10
#[cfg(feature = "git")]
#[test]
fn a_password_in_a_url_is_shown_by_nothing() {
    let reference = GitReference::parse("https://user:s3cr%40t@h.test/r.git").unwrap();
    let Remote::Http {
        user: Some(user), ..
    } = &reference.remote
    else {
        panic!("{:?}", reference.remote);
    };
    assert_eq!(user.expose(), ("user", "s3cr@t"));
    for text in [format!("{reference:?}"), reference.remote.to_string()] {
        assert!(!text.contains("s3cr"), "{text}");
    }
}
