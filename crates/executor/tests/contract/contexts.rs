//! Contexts that are no directories.

use kigumi_testkit::{GitServer, GitServerOptions};

use crate::Row;
use crate::harness::Invocation;

pub(crate) const ROWS: &[Row] = &[
    ("--context-sub-path", context_sub_path),
    ("--bucket", bucket),
    ("--git", git),
    ("GIT_*", git_variables),
];

/// `t0ken:` and `me:passw0rd`, as servers get them.
const OF_TOKEN: &str = "Basic dDBrZW46";
const OF_USER: &str = "Basic bWU6cGFzc3cwcmQ=";

/// An archive with a Dockerfile in two directories.
fn with_archive(invocation: Invocation) -> Invocation {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in [
        ("Dockerfile", "FROM scratch\nLABEL x=top\n"),
        ("sub/Dockerfile", "FROM scratch\nLABEL x=sub\nCOPY . /\n"),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    std::fs::write(invocation.path("c.tar"), builder.into_inner().unwrap()).unwrap();
    invocation
}

fn label(words: &[&str]) -> String {
    with_archive(Invocation::of(words)).image().label("x")
}

fn context_sub_path() {
    assert_eq!(label(&["-c=tar://c.tar"]), "top");
    let words = ["-c=tar://c.tar", "--context-sub-path=sub"];
    assert_eq!(label(&words), "sub");
    let image = with_archive(Invocation::of(&words)).image();
    assert_eq!(image.names(), [["Dockerfile"]], "COPY begins there as well");
    let words = ["-c=tar://c.tar", "--context-sub-path=none", "--no-push"];
    let outcome = with_archive(Invocation::of(&words)).run();
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
}

fn bucket() {
    assert_eq!(label(&["-c=", "--bucket=tar://c.tar"]), "top");
    // It wins over a context with a prefix.
    let words = ["-c=tar://nowhere.tar", "-b", "tar://c.tar"];
    assert_eq!(label(&words), "top");
    let words = ["-c=context", "-b=tar://c.tar", "--no-push"];
    with_archive(Invocation::of(&words)).run().fails("--bucket");
}

/// A server with a repository of two branches; `Authorization` that it wants.
fn server(directory: &std::path::Path, authorization: Option<&str>) -> GitServer {
    let options = GitServerOptions {
        authorization: authorization.map(str::to_owned),
        ..GitServerOptions::default()
    };
    let server = GitServer::with(directory, options);
    let repository = server.repository("r.git");
    repository.write("Dockerfile", "FROM scratch\nLABEL x=main\n");
    repository.commit("one");
    repository.git(&["checkout", "-q", "-b", "other"]);
    repository.write("Dockerfile", "FROM scratch\nLABEL x=other\n");
    repository.commit("two");
    repository.git(&["checkout", "-q", "main"]);
    server
}

/// K-CTX-02
fn git() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), None);
    let context = format!("-c=git://{}/r.git", server.authority());
    let found = |words: &[&str]| {
        let build = Invocation::of(&[&context]).args(words);
        build.env("GIT_PULL_METHOD", "http").image().label("x")
    };
    assert_eq!(found(&[]), "main");
    assert_eq!(found(&["--git=branch=other,depth=1"]), "other");
    let wrong = Invocation::of(&[&context, "--git=brunch=other", "--no-push"]);
    wrong.run().fails("brunch");
}

/// K-CTX-02
fn git_variables() {
    for (authorization, variables) in [
        (OF_TOKEN, &[("GIT_TOKEN", "t0ken")][..]),
        (
            OF_USER,
            &[("GIT_USERNAME", "me"), ("GIT_PASSWORD", "passw0rd")],
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let server = server(directory.path(), Some(authorization));
        let context = format!("-c=git://{}/r.git", server.authority());
        let build = || Invocation::of(&[&context]).env("GIT_PULL_METHOD", "http");
        let shut = build().args(&["--no-push"]).run();
        assert_eq!(shut.code, 1, "{}", shut.stderr);
        let words = ["--no-push", "--oci-layout-path=out", "-v=trace"];
        let variables = variables.iter();
        let open = variables.fold(build().args(&words), |build, (name, value)| {
            build.env(name, value)
        });
        let open = open.run();
        open.succeeds()
            .is_silent_about("t0ken")
            .is_silent_about("passw0rd");
        assert_eq!(open.image().label("x"), "main");
    }
    // Without GIT_PULL_METHOD it is HTTPS, which this server does not speak.
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), None);
    let context = format!("-c=git://{}/r.git", server.authority());
    let outcome = Invocation::of(&[&context, "--no-push"]).run();
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
}
