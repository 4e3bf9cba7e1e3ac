//! Files and messages that a pipeline reads afterwards.

use std::os::unix::fs::PermissionsExt as _;

use kigumi_testkit::{Action, FakeRegistry, Fault, When};
use serde_json::Value;

use crate::Row;
use crate::harness::{Invocation, text};

pub(crate) const ROWS: &[Row] = &[
    ("--tar-path", tar_path),
    ("--oci-layout-path", oci_layout_path),
    ("--digest-file", digest_file),
    ("--image-name-with-digest-file", image_name_with_digest_file),
    (
        "--image-name-tag-with-digest-file",
        image_name_tag_with_digest_file,
    ),
    ("BUILDER_OUTPUT", builder_output),
];

const COPY: &str = "FROM scratch\nCOPY a /\n";

/// The names in the archive that a build writes.
fn archived(words: &[&str]) -> String {
    let outcome = Invocation::build(COPY)
        .args(&["--no-push"])
        .args(words)
        .run();
    let archive = std::fs::read(outcome.succeeds().directory.path().join("t.tar")).unwrap();
    let archive = String::from_utf8_lossy(&archive).into_owned();
    let start = archive.find(r#""RepoTags":["#).unwrap();
    archive[start + 12..].split(']').next().unwrap().to_owned()
}

/// K-OUT-07
fn tar_path() {
    let unnamed = r#""docker.io/unset-repo/unset-image-name:latest""#;
    assert_eq!(archived(&["--tar-path=t.tar"]), unnamed);
    assert_eq!(archived(&["--tarPath", "t.tar"]), unnamed);
    let names = archived(&["--tar-path=t.tar", "-d", "r.test/a:1", "-d=r.test/b"]);
    assert_eq!(names, r#""r.test/a:1","r.test/b:latest""#);
    let refused = ["--no-push", "--tar-path=t", "--image-format=oci"];
    Invocation::build(COPY)
        .args(&refused)
        .run()
        .fails("--oci-layout-path");
}

/// K-OUT-08
fn oci_layout_path() {
    let build = Invocation::build(COPY);
    std::fs::create_dir(build.path("out")).unwrap();
    let image = build.file("out/index.json", "{}").image();
    assert_eq!(image.names(), [["a"]]);
}

/// K-OUT-01, K-OUT-02, K-OUT-03, K-OUT-06, K-OUT-10
fn digest_file() {
    let words = [
        "--no-push",
        "--oci-layout-path=out",
        "--digest-file=new/digest",
    ];
    let outcome = Invocation::build(COPY).args(&words).run();
    assert_eq!(
        outcome.succeeds().read("new/digest"),
        outcome.image().digest
    );
    let parent = std::fs::metadata(outcome.directory.path().join("new")).unwrap();
    assert_eq!(parent.permissions().mode() & 0o777, 0o700);
    let words = ["--no-push", "--digest-file=/dev/stdout"];
    let printed = Invocation::build(COPY).args(&words).run();
    assert!(printed.succeeds().stdout.starts_with("sha256:") && printed.stdout.len() == 71);
    sent_by_https();
}

fn sent_by_https() {
    let server = FakeRegistry::builder().tls(&["127.0.0.1"]).start();
    let answer = |status| {
        let action = Action::Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        };
        server.fail(Fault::new(When::next("PUT", "/digest"), action));
    };
    let url = format!(
        "--digest-file=https://{}/digest?sig=s3cr3t",
        server.authority()
    );
    let build = || {
        let build = Invocation::build(COPY).file("ca.pem", server.certificate());
        let bundle = build.path("ca.pem").display().to_string();
        build
            .env("SSL_CERT_FILE", &bundle)
            .args(&["--no-push", &url])
            .run()
    };
    answer(204);
    build().succeeds().is_silent_about("s3cr3t");
    let [request] = server.requests("PUT").try_into().unwrap();
    assert_eq!((request.path.as_str(), request.body_bytes), ("/digest", 71));
    assert_eq!(request.header("content-type"), Some("text/plain"));
    answer(403);
    build().fails("HTTP 403").is_silent_about("s3cr3t");
    let refused = ["--no-push", "--digest-file=http://127.0.0.1:1/x"];
    Invocation::build(COPY)
        .args(&refused)
        .run()
        .fails("https://");
}

/// K-OUT-04
fn image_name_with_digest_file() {
    let words = [
        "--no-push",
        "-d",
        "r.test/a/b:1",
        "-d",
        "r.test/c",
        "--image-name-with-digest-file=names",
        "--digest-file=d",
    ];
    let outcome = Invocation::build(COPY).args(&words).run();
    let digest = outcome.succeeds().read("d");
    assert_eq!(
        outcome.read("names"),
        format!("r.test/a/b@{digest}\nr.test/c@{digest}\n")
    );
    let refused = ["--no-push", "--image-name-with-digest-file=names"];
    Invocation::build(COPY)
        .args(&refused)
        .run()
        .fails("--image-name-with-digest-file needs a --destination");
}

/// K-OUT-05
fn image_name_tag_with_digest_file() {
    let words = [
        "--no-push",
        "-d",
        "r.test/a:1",
        "--image-name-with-digest-file=n",
        "--image-name-tag-with-digest-file=t",
        "--digest-file=d",
    ];
    let outcome = Invocation::build(COPY).args(&words).run();
    let expected = format!("r.test/a:1@{}\n", outcome.succeeds().read("d"));
    assert_eq!(
        (outcome.read("n"), outcome.read("t")),
        (expected.clone(), expected)
    );
}

/// K-OUT-09
fn builder_output() {
    let registry = FakeRegistry::start();
    let build = Invocation::build(COPY);
    let directory = build.path("builder").display().to_string();
    let destination = registry.reference("app:1");
    let words = ["-d", &destination, "--insecure", "--digest-file=d"];
    let outcome = build.env("BUILDER_OUTPUT", &directory).args(&words).run();
    let line: Value =
        serde_json::from_str(outcome.succeeds().read("builder/images").trim_end()).unwrap();
    assert_eq!(
        (text(&line["name"]), text(&line["digest"])),
        (destination, outcome.read("d"))
    );
}

/// K-EXIT-03, K-EXIT-07
#[test]
fn the_last_line_says_what_failed() {
    for (file, last) in [
        ("FROM scratch\nFROB x\nCOPY\n", "error: Dockerfile:2: "),
        ("FROM scratch\nCOPY missing /\n", "error: Dockerfile:2: "),
        (
            "FROM scratch AS a\nCOPY --from=b x /\nCOPY --from=7 x /\n",
            "error: Dockerfile:",
        ),
        ("", "error: "),
    ] {
        let outcome = Invocation::build(file).args(&["--no-push"]).run();
        outcome.fails(last);
    }
    let outcome = Invocation::build("FROM scratch\nFROB x\nCOPY\n")
        .args(&["--no-push"])
        .run();
    outcome.fails("FROB").fails("(and 1 other error)");
    for (words, last) in [
        (&[][..], "no --destination"),
        (&["--no-push", "--frob"], "unknown flag `--frob`"),
        (&["--no-push=maybe"], "maybe"),
        (&["push"], "required"),
        (&["push", "a", "b", "-d", "r/x"], "b"),
    ] {
        let outcome = Invocation::of(words).run();
        outcome.fails(last);
    }
}
