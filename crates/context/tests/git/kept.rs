//! `--keep-git-dir`

use std::path::Path;
use std::process::Command;

use kigumi_testkit::{GitServer, GitServerOptions};

use crate::support::{Checkout, fetch};

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command
        .current_dir(directory)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn unpacked(checkout: &Checkout) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    checkout.unpack(directory.path());
    directory
}

/// T-ADD-09
#[test]
fn git_finds_a_clean_worktree_of_the_commit() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    let repository = server.repository("r.git");
    repository.write("a", "0\n").commit("zero");
    repository
        .write("a", "1\n")
        .write("a.b/x", "x\n")
        .write("b", "b\n")
        .write(&format!("long/{}", "n".repeat(200)), "n\n")
        .write_executable("run", "r\n")
        .link("l", "a");
    let commit = repository.commit("one");
    repository.git(&["tag", "-a", "-m", "first", "v1"]);
    for (reference, name) in [
        ("r.git?keep-git-dir=true", "refs/heads/main"),
        ("r.git?keep-git-dir=true#v1", "refs/tags/v1"),
    ] {
        let checkout = unpacked(&fetch(&server.url(reference), &[]).unwrap());
        let place = checkout.path();
        assert_eq!(
            git(place, &["status", "--porcelain", "--untracked-files=all"]),
            "",
            "{reference}"
        );
        assert_eq!(git(place, &["rev-parse", "HEAD"]), commit, "{reference}");
        assert_eq!(git(place, &["log", "--format=%s"]), "one", "{reference}");
        assert_eq!(
            git(place, &["rev-parse", &format!("{name}^{{commit}}")]),
            commit,
            "{reference}"
        );
        assert_eq!(
            git(place, &["config", "remote.origin.url"]),
            server.url("r.git"),
            "{reference}"
        );
        git(place, &["fsck", "--strict"]);
        std::fs::write(place.join("a"), "2\n").unwrap();
        assert_eq!(git(place, &["status", "--porcelain"]), "M a", "{reference}");
    }
}

/// T-ADD-09
#[test]
fn nothing_is_kept_unless_it_was_asked_for_or_of_a_subdirectory() {
    let directory = tempfile::tempdir().unwrap();
    let server = GitServer::start(directory.path());
    server
        .repository("r.git")
        .write("sub/a", "1\n")
        .commit("one");
    for reference in [
        "r.git",
        "r.git?keep-git-dir=false",
        "r.git?keep-git-dir=true#main:sub",
    ] {
        let listing = fetch(&server.url(reference), &[]).unwrap().listing();
        assert!(!listing.contains(".git"), "{reference}: {listing}");
    }
}

/// T-ADD-10
#[test]
fn no_credential_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let options = GitServerOptions {
        authorization: Some("Basic eC1hY2Nlc3MtdG9rZW46czNjcmV0".to_owned()),
        ..GitServerOptions::default()
    };
    let server = GitServer::with(directory.path(), options);
    server.repository("r.git").write("a", "1\n").commit("one");
    let url = server.url("r.git?keep-git-dir=true");
    let with_user = url.replace("://", "://x-access-token:s3cret@");
    for (url, secrets) in [
        (&url, &[("GIT_AUTH_TOKEN", "s3cret")][..]),
        (&with_user, &[]),
    ] {
        let everything = fetch(url, secrets).unwrap().everything();
        for secret in ["s3cret", "czNjcmV0", "x-access-token"] {
            let found = everything
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is kept");
        }
    }
}
