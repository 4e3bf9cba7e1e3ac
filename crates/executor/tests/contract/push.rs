//! Subcommands.

use kigumi_oci::Digest;
use kigumi_testkit::{FakeRegistry, TestImage};

use crate::Row;
use crate::harness::{Invocation, Outcome};

pub(crate) const ROWS: &[Row] = &[("executor push", push), ("executor version", version)];

/// A build that is written as a layout and as an archive.
fn built() -> Outcome {
    let file = "FROM scratch\nCOPY a /\nCOPY b /\nLABEL x=1\n";
    let words = [
        "--no-push",
        "--image-format=docker",
        "--tar-path=t.tar",
        "--oci-layout-path=out",
    ];
    Invocation::build(file).args(&words).run()
}

fn push() {
    let built = built();
    let image = built.succeeds().image();
    for path in ["out", "t.tar"] {
        let registry = FakeRegistry::start();
        let path = built.directory.path().join(path).display().to_string();
        let (first, second) = (registry.reference("a:1"), registry.reference("b"));
        let words = [
            "push",
            &path,
            "-d",
            &first,
            "--destination",
            &second,
            "--insecure",
        ];
        Invocation::of(&words).run().succeeds();
        for (repository, tag) in [("a", "1"), ("b", "latest")] {
            let (_, bytes) = registry.manifest(repository, tag).unwrap();
            assert_eq!(Digest::of(&bytes).to_string(), image.digest, "{path}");
        }
    }
    pushes_every_platform();
    refuses_what_is_no_image();
}

fn pushes_every_platform() {
    let words = [
        "--no-push",
        "--platform=linux/amd64,linux/arm64",
        "--oci-layout-path=out",
    ];
    let built = Invocation::build("FROM scratch\nCOPY a /\n")
        .args(&words)
        .run();
    built.succeeds();
    let registry = FakeRegistry::start();
    let path = built.directory.path().join("out").display().to_string();
    Invocation::of(&[
        "push",
        &path,
        "-d",
        &registry.reference("a:1"),
        "--insecure",
    ])
    .run()
    .succeeds();
    let (kind, bytes) = registry.manifest("a", "1").unwrap();
    assert_eq!(kind, "application/vnd.oci.image.index.v1+json");
    let index: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for entry in index["manifests"].as_array().unwrap() {
        assert!(
            registry
                .manifest("a", entry["digest"].as_str().unwrap())
                .is_some()
        );
    }
}

fn refuses_what_is_no_image() {
    let registry = FakeRegistry::start();
    let to = registry.reference("a:1");
    for (path, reason) in [
        ("nowhere", "nowhere"),
        ("context", "oci-layout"),
        ("file", "file"),
    ] {
        let words = ["push", path, "-d", &to, "--insecure"];
        Invocation::of(&words)
            .file("file", "no archive")
            .run()
            .fails(reason);
    }
    assert!(registry.manifest("a", "1").is_none());
    let layout = built();
    let manifest = layout.image().manifest;
    let layer = manifest["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .replace(':', "/");
    std::fs::write(
        layout.directory.path().join("out/blobs").join(layer),
        "changed",
    )
    .unwrap();
    let path = layout.directory.path().join("out").display().to_string();
    assert_eq!(
        Invocation::of(&["push", &path, "-d", &to, "--insecure"])
            .run()
            .code,
        1
    );
    assert!(registry.manifest("a", "1").is_none());
}

/// Layers of `docker save` are not compressed, and its files are named as it likes.
#[test]
fn layers_that_are_not_compressed_are_on_the_way() {
    let image = TestImage::new()
        .compression(kigumi_oci::Compression::None)
        .file("x", b"x")
        .build();
    let registry = FakeRegistry::start();
    let invocation = Invocation::of(&[
        "push",
        "t.tar",
        "-d",
        &registry.reference("a:1"),
        "--insecure",
    ]);
    let manifest = br#"[{"Config":"c.json","RepoTags":[],"Layers":["l/layer.tar"]}]"#;
    let files: [(&str, &[u8]); 3] = [
        ("c.json", image.config.bytes()),
        ("l/layer.tar", &image.blobs[0]),
        ("manifest.json", manifest),
    ];
    std::fs::write(invocation.path("t.tar"), archive(&files)).unwrap();
    invocation.run().succeeds();
    let (kind, bytes) = registry.manifest("a", "1").unwrap();
    assert_eq!(kind, "application/vnd.docker.distribution.manifest.v2+json");
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        manifest["config"]["digest"],
        image.config.digest().to_string()
    );
    let digest: Digest = manifest["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        registry
            .blob("a", digest)
            .unwrap()
            .starts_with(&[0x1f, 0x8b])
    );
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn version() {
    for word in ["version", "--version"] {
        let outcome = Invocation::of(&[word]).run();
        assert!(
            outcome
                .succeeds()
                .stdout
                .contains(env!("CARGO_PKG_VERSION")),
            "{}",
            outcome.stdout
        );
    }
}

#[test]
fn completions_know_the_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = Invocation::of(&["completions", shell]).run();
        assert!(
            outcome.succeeds().stdout.contains("single-snapshot"),
            "{shell}"
        );
    }
}
