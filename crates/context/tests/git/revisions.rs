//! Which commit a reference means.

use kigumi_context::git::GitReference;
use kigumi_testkit::{GitServer, GitServerOptions, TestRepository};

use crate::support::{failure, fetch, fetch_reference};

/// main: one, two; feature: three; tags v1 (light, one), v2 (annotated, two); a pull request.
struct History {
    one: String,
    two: String,
    three: String,
    tag: String,
}

fn history(repository: &TestRepository) -> History {
    let one = repository.write("a", "1\n").commit("one");
    repository.git(&["tag", "v1"]);
    let two = repository.write("a", "2\n").commit("two");
    repository.git(&["tag", "-a", "-m", "second", "v2"]);
    let tag = repository.git(&["rev-parse", "v2"]);
    repository.git(&["checkout", "-q", "-b", "feature/x"]);
    let three = repository.write("c", "3\n").commit("three");
    repository.git(&["update-ref", "refs/pull/7/head", &three]);
    repository.git(&["checkout", "-q", "main"]);
    History {
        one,
        two,
        three,
        tag,
    }
}

fn versions(directory: &std::path::Path) -> [(&'static str, GitServer); 2] {
    let old = GitServerOptions {
        old_protocol: true,
        ..GitServerOptions::default()
    };
    [
        ("version 2", GitServer::start(directory)),
        ("version 0", GitServer::with(directory, old)),
    ]
}

/// T-ADD-09
#[test]
fn branches_tags_and_commits_are_found_over_every_protocol() {
    let directory = tempfile::tempdir().unwrap();
    let servers = versions(directory.path());
    let history = history(&servers[0].1.repository("r.git"));
    let (one, two, three) = (&history.one, &history.two, &history.three);
    for (version, server) in &servers {
        for (revision, commit, content) in [
            ("", two, "2\n"),
            ("#main", two, "2\n"),
            ("#refs/heads/main", two, "2\n"),
            ("#feature/x", three, "2\n"),
            ("?branch=feature/x", three, "2\n"),
            ("#v1", one, "1\n"),
            ("#v2", two, "2\n"),
            ("?tag=v2", two, "2\n"),
            ("#pull/7/head", three, "2\n"),
            (&format!("#{one}"), one, "1\n"),
            (&format!("#{three}"), three, "2\n"),
            (&format!("#{}", history.tag), two, "2\n"),
            (&format!("?commit={one}"), one, "1\n"),
            (
                &format!("?ref=main&commit={two}&fetch-by-commit=true"),
                two,
                "2\n",
            ),
        ] {
            let ways = [server.url("r.git"), server.git_url("r.git")];
            for way in ways
                .iter()
                .take(if *version == "version 2" { 2 } else { 1 })
            {
                let url = format!("{way}{revision}");
                let checkout =
                    fetch(&url, &[]).unwrap_or_else(|error| panic!("{version} {url}: {error:?}"));
                assert_eq!(
                    (&checkout.commit, checkout.text("a").as_str()),
                    (commit, content),
                    "{version} {url}"
                );
            }
        }
    }
}

/// T-ADD-09
#[test]
fn what_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    history(&server.repository("r.git"));
    server.repository("empty.git");
    let nowhere = "0123456789012345678901234567890123456789";
    for (reference, expected) in [
        ("r.git#nosuch".to_owned(), "`nosuch`"),
        ("r.git?tag=main".to_owned(), "`refs/tags/main`"),
        (format!("r.git#{nowhere}"), nowhere),
        ("r.git#0123456".to_owned(), "write its full id"),
        ("empty.git".to_owned(), "has no default branch"),
        ("none.git".to_owned(), "404"),
    ] {
        let said = failure(&server.url(&reference), &[]);
        assert!(said.contains(expected), "{reference}: {said}");
    }
}

#[test]
fn a_commit_that_is_not_given_by_its_id_is_found_behind_a_branch() {
    let directory = tempfile::tempdir().unwrap();
    for old_protocol in [false, true] {
        let options = GitServerOptions {
            old_protocol,
            only_tips: true,
            ..GitServerOptions::default()
        };
        let server = GitServer::with(directory.path(), options);
        let name = format!("{old_protocol}.git");
        let repository = server.repository(&name);
        let one = repository.write("a", "1\n").commit("one");
        repository.write("a", "2\n").commit("two");
        let checkout = fetch(&server.url(&format!("{name}#{one}")), &[]).unwrap();
        assert_eq!(
            (&checkout.commit, checkout.text("a")),
            (&one, "1\n".to_owned())
        );
        let nowhere = "0123456789012345678901234567890123456789";
        let said = failure(&server.url(&format!("{name}#{nowhere}")), &[]);
        assert!(
            said.contains(&format!("has no commit `{nowhere}`")),
            "{said}"
        );
    }
}

/// T-ADD-08
#[test]
fn a_checksum_is_the_beginning_of_the_commit_or_its_tag() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let history = history(&server.repository("r.git"));
    let fetched = |revision: &str, checksum: &str| {
        let reference = GitReference::parse(&server.url(&format!("r.git#{revision}"))).unwrap();
        fetch_reference(&reference.with_flags(None, Some(checksum)).unwrap(), &[])
    };
    let (two, tag) = (history.two.as_str(), history.tag.as_str());
    let short = |id: &str| id.chars().take(10).collect::<String>();
    for (revision, checksum) in [
        ("main", two),
        ("main", &short(two)),
        ("v2", two),
        ("v2", tag),
        ("v2", &short(tag)),
        (two, two),
    ] {
        assert_eq!(
            fetched(revision, checksum).unwrap().commit,
            two,
            "{revision} {checksum}"
        );
    }
    for (revision, checksum) in [
        ("main", history.one.as_str()),
        ("main", tag),
        ("v1", two),
        (two, tag),
    ] {
        let Err(error) = fetched(revision, checksum) else {
            panic!("{revision} is {checksum}");
        };
        let said = error.to_string();
        assert!(
            said.contains(&format!("expected checksum `{checksum}`")),
            "{said}"
        );
    }
}

#[test]
fn only_what_was_asked_for_is_transferred() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    repository.write("big", "x".repeat(10_000)).commit("one");
    repository.git(&["rm", "-q", "big"]);
    repository.write("small", "s\n").commit("two");
    let checkout = fetch(&server.url("r.git?keep-git-dir"), &[]).unwrap();
    let pack = checkout.tree.walk().find_map(|(path, id)| {
        let name = String::from_utf8_lossy(path.as_relative()).into_owned();
        let file = checkout.tree.node(id).file()?;
        name.strip_suffix(".pack").map(|_| file.size)
    });
    assert!(pack.unwrap() < 1000, "{pack:?}");
}
