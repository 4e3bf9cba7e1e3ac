//! What the files of a commit become.

use kigumi_layer::Timestamp;
use kigumi_testkit::GitServer;

use crate::support::{NOW, failure, fetch};

/// T-ADD-09
#[test]
fn a_checkout_has_the_files_of_the_commit_and_two_modes() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    repository
        .write("a", "one\n")
        .write("empty", "")
        .write("deep/er/file", "two\n")
        .write("same", "two\n")
        .write_executable("run", "#!/bin/sh\n")
        .link("link", "deep/er")
        .link("dangling", "/nowhere");
    let commit = repository.commit("one");
    let checkout = fetch(&server.url("r.git"), &[]).unwrap();
    assert_eq!(checkout.commit, commit);
    let expected = r##"0644 a "one"
0777 dangling -> /nowhere
0755 deep/
0755 deep/er/
0644 deep/er/file "two"
0644 empty ""
0777 link -> deep/er
0755 run "#!/bin/sh"
0644 same "two""##;
    assert_eq!(checkout.listing(), expected);
    let times = checkout
        .tree
        .walk()
        .map(|(_, id)| checkout.tree.node(id).metadata.mtime);
    assert!(times.into_iter().all(|time| time == NOW));
}

#[test]
fn large_files_and_deltas_come_whole() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    let lines = |seed: u32| -> String {
        let line = |number: u32| format!("{:08x}\n", number.wrapping_mul(2_654_435_761));
        (0..200_000)
            .map(|number| line(number / 2 + seed / 50 * (number % 2)))
            .collect()
    };
    for seed in 0..8 {
        repository.write(&format!("f{seed}"), lines(seed));
    }
    repository.write("other", lines(90));
    repository.commit("one");
    repository.git(&["repack", "-a", "-d", "-q", "--depth=50"]);
    let checkout = fetch(&server.url("r.git"), &[]).unwrap();
    for seed in 0..8 {
        assert_eq!(checkout.text(&format!("f{seed}")), lines(seed));
    }
    assert_eq!(checkout.text("other"), lines(90));
}

#[test]
fn times_are_those_of_the_commit_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    server
        .repository("r.git")
        .write("d/a", "one\n")
        .commit("one");
    let checkout = fetch(&server.url("r.git?mtime=commit"), &[]).unwrap();
    let expected = Timestamp::from_seconds(1_000_000_000);
    let times = checkout
        .tree
        .walk()
        .map(|(_, id)| checkout.tree.node(id).metadata.mtime);
    assert!(times.into_iter().all(|time| time == expected));
}

/// T-ADD-09
#[test]
fn a_subdirectory_becomes_the_root() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    repository
        .write("a", "one\n")
        .write("sub/b", "two\n")
        .write("sub/in/c", "three\n")
        .link("current", "sub")
        .link("out", "../..")
        .link("abs", "/etc");
    repository.commit("one");
    let fetched =
        |subdirectory: &str| fetch(&server.url(&format!("r.git#main:{subdirectory}")), &[]);
    let expected = "0644 b \"two\"\n0755 in/\n0644 in/c \"three\"";
    for subdirectory in ["sub", "/sub/", "./sub/../sub", "current", "current/../sub"] {
        assert_eq!(
            fetched(subdirectory).unwrap().listing(),
            expected,
            "{subdirectory}"
        );
    }
    assert_eq!(fetched("current/in").unwrap().listing(), "0644 c \"three\"");
    for subdirectory in [
        "nodir",
        "sub/b",
        "a/x",
        "..",
        "../..",
        "sub/../..",
        "out",
        "abs",
        "out/etc",
    ] {
        let url = server.url(&format!("r.git#main:{subdirectory}"));
        let said = failure(&url, &[]);
        assert!(
            said.contains(&format!("subdirectory `{subdirectory}`")),
            "{said}"
        );
    }
}

#[test]
fn filters_that_need_a_program_are_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    repository
        .write(
            ".gitattributes",
            "*.bin filter=lfs diff=lfs merge=lfs -text\n*.sub export-subst\n*.no export-ignore\n",
        )
        .write("x.bin", pointer)
        .write("x.sub", "$Format:%H$\n")
        .write("x.no", "here\n");
    repository.commit("one");
    let checkout = fetch(&server.url("r.git"), &[]).unwrap();
    assert_eq!(checkout.text("x.bin"), pointer);
    assert_eq!(checkout.text("x.sub"), "$Format:%H$\n");
    assert_eq!(checkout.text("x.no"), "here\n");
}
