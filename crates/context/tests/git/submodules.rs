//! Repositories inside repositories.

use kigumi_testkit::GitServer;

use crate::support::{failure, fetch};

/// T-ADD-09
#[test]
fn submodules_are_checked_out_however_deep_they_lie() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let inner = server.repository("inner.git");
    let wanted = inner.write("deep", "wanted\n").commit("one");
    inner.write("deep", "newer\n").commit("two");
    let middle = server.repository("middle.git");
    middle
        .write("m", "middle\n")
        .add_submodule("lib/inner", "../inner.git", &wanted);
    let middle = middle.commit("one");
    let outer = server.repository("outer.git");
    outer
        .write("o", "outer\n")
        .add_submodule("vendor/middle", &server.url("middle.git"), &middle)
        .add_submodule("again", "./../inner.git", &wanted);
    outer.commit("one");
    let listing = |reference: &str| fetch(&server.url(reference), &[]).unwrap().listing();
    let without_list = |text: String| {
        let lines = text.lines().filter(|line| !line.contains(".gitmodules"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let whole = "0755 again/\n0644 again/deep \"wanted\"\n0644 o \"outer\"\n0755 vendor/\n0755 vendor/middle/\n0755 vendor/middle/lib/\n\
        0755 vendor/middle/lib/inner/\n0644 vendor/middle/lib/inner/deep \"wanted\"\n0644 vendor/middle/m \"middle\"";
    assert_eq!(without_list(listing("outer.git")), whole);
    let bare = "0755 again/\n0644 o \"outer\"\n0755 vendor/\n0755 vendor/middle/";
    assert_eq!(without_list(listing("outer.git?submodules=false")), bare);
    let part = listing("outer.git#main:vendor/middle/lib");
    assert_eq!(part, "0755 inner/\n0644 inner/deep \"wanted\"");
}

#[test]
fn a_submodule_that_cannot_be_had_is_named_with_its_cause() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let known = server.repository("s.git").write("s", "s\n").commit("one");
    let nowhere = "0123456789012345678901234567890123456789";
    for (name, url, commit, expected) in [
        (
            "ssh.git",
            "git@h.test:o/s.git",
            known.as_str(),
            "submodule `sub`: `git@h.test:o/s.git`: git over ssh",
        ),
        (
            "file.git",
            "file:///etc",
            known.as_str(),
            "submodule `sub`: `.gitmodules` has no usable URL",
        ),
        (
            "ext.git",
            "ext::sh -c id",
            known.as_str(),
            "submodule `sub`: `.gitmodules` has no usable URL",
        ),
        (
            "gone.git",
            "../gone-too.git",
            known.as_str(),
            "submodule `sub`: ",
        ),
        ("commit.git", "../s.git", nowhere, nowhere),
    ] {
        let repository = server.repository(name);
        repository.add_submodule("sub", url, commit);
        repository.commit("one");
        let said = failure(&server.url(name), &[]);
        assert!(said.contains(expected), "{name}: {said}");
        assert_eq!(
            fetch(&server.url(&format!("{name}?submodules=0")), &[])
                .unwrap()
                .tree
                .len(),
            3
        );
    }
    let repository = server.repository("unlisted.git");
    repository.add_gitlink("sub", &known);
    repository.commit("one");
    let said = failure(&server.url("unlisted.git"), &[]);
    assert!(
        said.contains("submodule `sub`: `.gitmodules` has no usable URL"),
        "{said}"
    );
}

#[test]
fn a_submodule_that_git_leaves_alone_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    repository.add_gitlink("sub", "0123456789012345678901234567890123456789");
    repository.write(
        ".gitmodules",
        "[submodule \"sub\"]\npath = sub\nurl = ../gone.git\nupdate = none\n",
    );
    repository.commit("one");
    let checkout = fetch(&server.url("r.git"), &[]).unwrap();
    assert!(
        checkout.listing().ends_with("0755 sub/"),
        "{}",
        checkout.listing()
    );
}

#[test]
fn repositories_that_contain_themselves_come_to_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    // A commit cannot hold its own id, but a chain of them is as good.
    let repository = server.repository("r.git");
    let mut commit = repository.write("a", "1\n").commit("one");
    repository.write(
        ".gitmodules",
        "[submodule \"s\"]\npath = s\nurl = ../r.git\n",
    );
    for _ in 0..18 {
        repository.add_gitlink("s", &commit);
        commit = repository.commit("again");
    }
    let said = failure(&server.url("r.git"), &[]);
    assert!(
        said.contains("more than 512 submodules, or more than 16 inside one another"),
        "{said}"
    );
}
