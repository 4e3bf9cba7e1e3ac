//! What is known of base layers without their bytes, and what a build with a cache therefore does not fetch. Everything is counted in the log of a
//! registry of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kigumi_layer::{OutlineWriter, notation};
use kigumi_oci::{Descriptor, Digest};
use kigumi_testkit::{FakeRegistry, PublishedImage, TestImage};

use super::harness::{Invocation, Outcome, entries};

const COPY: &str = "FROM BASE\nCOPY a /opt/a\n";

/// A base of three layers, and builds on it that share a cache repository.
struct Lab {
    registry: FakeRegistry,
    base: PublishedImage,
}

impl Lab {
    fn new() -> Self {
        let registry = FakeRegistry::start();
        let large = vec![7; 100_000];
        let image = TestImage::new()
            .layer(&[
                (
                    "etc/passwd",
                    b"root:x:0:0::/:/bin/sh\napp:x:70:71::/:/bin/sh\n",
                ),
                ("etc/group", b"root:x:0:\nstaff:x:72:\n"),
            ])
            .file("opt/large", &large)
            .file("usr/small", b"small");
        let base = image.publish(&registry, "base", "1");
        Self { registry, base }
    }

    fn words(&self, more: &[&str]) -> Vec<String> {
        let cache = format!("--cache-repo={}", self.registry.reference("cache"));
        let own = [
            "--custom-platform=linux/amd64",
            "--source-date-epoch=1700000000",
            "--insecure",
            "--digest-file=digest",
            "--verbosity=debug",
            "--cache",
            &cache,
        ];
        let destination = format!("--destination={}", self.registry.reference("app:1"));
        let all = own.iter().chain(more).map(|word| (*word).to_owned());
        all.chain([destination]).collect()
    }

    /// A build in a directory of its own. Nothing but its requests is in the log after it.
    fn build(&self, dockerfile: &str, a: &str, more: &[&str]) -> Outcome {
        self.registry.clear_log();
        let dockerfile = dockerfile.replace("BASE", &self.registry.reference("base:1"));
        let words = self.words(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let build = Invocation::build(&dockerfile).file("context/a", a);
        let outcome = build.args(&words).run();
        outcome.succeeds();
        outcome
    }

    /// The digest of the image that is made without a cache.
    fn plain(&self, dockerfile: &str, a: &str) -> String {
        self.build(dockerfile, a, &["--cache=false"]).read("digest")
    }

    /// How often each layer of the base was read, whoever has it.
    fn reads(&self) -> Vec<usize> {
        let log = self.registry.requests("GET");
        let reads = |layer: &Descriptor| {
            let digest = layer.digest.to_string();
            let of_layer = log.iter().filter(|request| request.path.ends_with(&digest));
            of_layer.count()
        };
        self.base.layers.iter().map(reads).collect()
    }

    /// The blobs that were uploaded to the image's repository.
    fn uploads(&self) -> Vec<Digest> {
        let log = self.registry.requests("PUT");
        let blobs = log
            .iter()
            .filter(|request| request.path.starts_with("/v2/app/blobs/"));
        let digests = blobs.filter_map(|request| request.parameter("digest"));
        digests.map(|digest| digest.parse().unwrap()).collect()
    }

    /// The manifests of outlines that the build has written.
    fn kept(&self) -> Vec<String> {
        let log = self.registry.requests("PUT");
        let tags = log.iter().filter_map(|request| {
            let tag = request.path.strip_prefix("/v2/cache/manifests/")?;
            let (_, manifest) = self.registry.manifest("cache", tag)?;
            let text = String::from_utf8(manifest).unwrap();
            text.contains("cache-outline").then(|| tag.to_owned())
        });
        tags.collect()
    }
}

/// Done-when 2 of the cache: zero bytes of the base, and its own layer.
#[test]
fn a_copy_onto_a_base_that_an_earlier_build_has_read_fetches_none_of_it_and_sends_its_own_layer() {
    let lab = Lab::new();
    lab.build(COPY, "one", &[]);
    assert_eq!(lab.reads(), [1, 1, 1]);
    assert_eq!(lab.kept().len(), 3);
    let second = lab.build(COPY, "two", &[]);
    assert_eq!(lab.reads(), [0, 0, 0]);
    // The layer and the config.
    assert_eq!(lab.uploads().len(), 2, "{:?}", lab.uploads());
    assert!(lab.kept().is_empty());
    assert_eq!(second.read("digest"), lab.plain(COPY, "two"));
    assert_eq!(lab.reads(), [1, 1, 1], "without a cache nothing is known");
}

#[test]
fn names_of_users_are_known_without_the_layer_that_has_them() {
    let lab = Lab::new();
    let dockerfile = "FROM BASE\nCOPY --chown=app:staff a /opt/a\nWORKDIR /srv/new\n";
    lab.build(dockerfile, "one", &[]);
    let owned = lab.build(dockerfile, "three", &[]);
    assert_eq!(lab.reads(), [0, 0, 0]);
    let path = owned.directory.path().join("layer");
    let mut found = Vec::new();
    for digest in lab.uploads() {
        let blob = lab.registry.blob("app", digest).unwrap();
        if blob.starts_with(&[0x1f, 0x8b]) {
            fs::write(&path, blob).unwrap();
            found.extend(entries(&path));
        }
    }
    assert!(
        found.iter().any(|entry| entry.starts_with("opt/a 70:72 ")),
        "{found:?}"
    );
    assert_eq!(owned.read("digest"), lab.plain(dockerfile, "three"));
}

#[test]
fn a_file_that_is_copied_out_of_a_base_costs_the_layer_that_has_it_and_no_other() {
    let lab = Lab::new();
    let dockerfile = "FROM BASE AS b\nFROM BASE\nCOPY a /a\nCOPY --from=b /usr/small /\n";
    lab.build(dockerfile, "one", &[]);
    assert_eq!(lab.reads(), [1, 1, 1]);
    let second = lab.build(dockerfile, "two", &[]);
    assert_eq!(lab.reads(), [0, 0, 1]);
    assert_eq!(second.read("digest"), lab.plain(dockerfile, "two"));
}

#[test]
fn images_that_share_layers_share_what_is_known_of_them() {
    let lab = Lab::new();
    lab.build(COPY, "one", &[]);
    let config = kigumi_oci::ContainerConfig {
        user: Some("app".to_owned()),
        ..kigumi_oci::ContainerConfig::default()
    };
    let sibling = TestImage::new()
        .file("usr/small", b"small")
        .file("usr/other", b"other")
        .config(config)
        .publish(&lab.registry, "sibling", "1");
    let shared = lab.base.layers[2].digest;
    assert_eq!(sibling.layers[0].digest, shared);
    lab.build(
        &COPY.replace("BASE", &lab.registry.reference("sibling:1")),
        "x",
        &[],
    );
    let reads = |layer: &Descriptor| {
        let log = lab.registry.requests("GET");
        let digest = layer.digest.to_string();
        log.iter()
            .filter(|request| request.path.ends_with(&digest))
            .count()
    };
    assert_eq!(sibling.layers.iter().map(reads).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn an_outline_that_is_not_what_its_entry_says_is_none_and_is_made_again() {
    let lab = Lab::new();
    lab.build(COPY, "one", &[]);
    let tag = lab.kept().remove(0);
    let (media_type, manifest) = lab.registry.manifest("cache", &tag).unwrap();
    let text = String::from_utf8(manifest).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let digest: Digest = value["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let outline = lab.registry.blob("cache", digest).unwrap();
    // Another outline than the record names.
    let other = lab.registry.put_blob("cache", &outline[1..]);
    value["layers"][0]["digest"] = other.to_string().into();
    value["layers"][0]["size"] = (outline.len() - 1).into();
    let changed = serde_json::to_vec(&value).unwrap();
    lab.registry
        .put_manifest("cache", Some(&tag), &media_type, &changed);
    is_fetched_around_and_replaced(&lab, &tag, "its manifest contradicts its record");
}

/// The next build refuses what is at the tag for this reason, reads the one layer, makes the right image and keeps the right outline.
fn is_fetched_around_and_replaced(lab: &Lab, tag: &str, reason: &str) {
    let second = lab.build(COPY, "two", &[]);
    second.says(reason);
    assert_eq!(lab.reads().iter().sum::<usize>(), 1);
    assert_eq!(lab.kept(), [tag]);
    assert_eq!(second.read("digest"), lab.plain(COPY, "two"));
    lab.build(COPY, "three", &[]);
    assert_eq!(lab.reads(), [0, 0, 0]);
}

/// Signed by somebody who is believed, or by nobody where nobody has to: it is refused for what it says, and nothing of it stays.
#[test]
fn an_outline_that_no_layer_can_have_is_fetched_around_and_replaced() {
    let lab = Lab::new();
    lab.build(COPY, "one", &[]);
    let tag = lab.kept().remove(0);
    // If the link stayed, the file would go to `/usr/a`.
    let lies = notation::parse_changes("l 0:0 /opt -> usr\nh /x = /nowhere\n").unwrap();
    let mut bytes = Vec::new();
    let mut writer = OutlineWriter::new(&mut bytes).unwrap();
    for change in &lies {
        writer.put(change, None).unwrap();
    }
    writer.finish().unwrap();
    let lie = lab.registry.put_blob("cache", &bytes);
    let (media_type, manifest) = lab.registry.manifest("cache", &tag).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let record = STANDARD.decode(manifest["config"]["data"].as_str().unwrap());
    let record = String::from_utf8(record.unwrap()).unwrap();
    let honest = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let size = format!(r#""size":{}"#, manifest["layers"][0]["size"]);
    let text = record.replace(&honest, &lie.to_string());
    let text = text.replace(&size, &format!(r#""size":{}"#, bytes.len()));
    lab.registry.put_blob("cache", text.as_bytes());
    manifest["layers"][0]["digest"] = lie.to_string().into();
    manifest["layers"][0]["size"] = bytes.len().into();
    manifest["config"]["digest"] = Digest::of(text.as_bytes()).to_string().into();
    manifest["config"]["size"] = text.len().into();
    manifest["config"]["data"] = STANDARD.encode(&text).into();
    let changed = serde_json::to_vec(&manifest).unwrap();
    lab.registry
        .put_manifest("cache", Some(&tag), &media_type, &changed);
    is_fetched_around_and_replaced(&lab, &tag, "what it says of the layer makes no sense");
}

#[test]
fn layers_of_the_cache_are_known_as_well_when_they_were_read_once() {
    let lab = Lab::new();
    let dockerfile = "FROM BASE\nCOPY b /b\nCOPY a /a\n";
    let cached = ["--cache-copy-layers"];
    lab.build(dockerfile, "one", &cached);
    let (_, manifest) = lab.registry.manifest("app", "1").unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layer = manifest["layers"][3]["digest"].as_str().unwrap();
    let reads = || {
        let log = lab.registry.requests("GET");
        let of_layer = log.iter().filter(|request| request.path.ends_with(layer));
        of_layer.count()
    };
    lab.build(dockerfile, "two", &cached);
    assert_eq!((reads(), lab.kept().len()), (1, 1));
    let third = lab.build(dockerfile, "three", &cached);
    assert_eq!((reads(), lab.reads()), (0, vec![0, 0, 0]));
    assert_eq!(third.read("digest"), lab.plain(dockerfile, "three"));
}

#[test]
fn a_build_that_only_reads_the_cache_keeps_nothing() {
    let lab = Lab::new();
    lab.build(COPY, "one", &["--no-push-cache"]);
    assert!(lab.kept().is_empty());
    lab.build(COPY, "two", &[]);
    assert_eq!((lab.reads(), lab.kept().len()), (vec![1, 1, 1], 3));
    let third = lab.build(COPY, "three", &["--no-push-cache"]);
    assert_eq!(lab.reads(), [0, 0, 0]);
    third.says("3 of 3 layers are known");
}

#[test]
fn what_another_domain_knows_is_not_believed() {
    let lab = Lab::new();
    lab.build(COPY, "one", &["--cache-domain=fork"]);
    lab.build(COPY, "two", &[]);
    assert_eq!(lab.reads(), [1, 1, 1]);
}

#[test]
fn a_base_in_another_registry_is_not_fetched_if_the_image_has_it_already() {
    let lab = Lab::new();
    let other = FakeRegistry::start();
    let destination = format!("--destination={}", other.reference("app:1"));
    lab.build(COPY, "one", &[&destination]);
    lab.build(COPY, "two", &[&destination]);
    assert_eq!(lab.reads(), [0, 0, 0]);
    assert!(
        lab.base
            .layers
            .iter()
            .all(|layer| other.has_blob("app", layer.digest))
    );
}

/// Takes the bytes of an image away from the warmer's directory, but for what is known of them.
fn empty(entry: &Path) {
    for blob in fs::read_dir(entry.join("blobs/sha256")).unwrap() {
        fs::remove_file(blob.unwrap().path()).unwrap();
    }
}

#[test]
fn a_base_that_was_warmed_is_read_neither_from_the_registry_nor_from_the_directory() {
    let lab = Lab::new();
    let volume = tempfile::tempdir().unwrap();
    let directory = format!("--cache-dir={}", volume.path().display());
    let image = format!("--image={}", lab.registry.reference("base:1"));
    let words = ["--customPlatform=linux/amd64", &directory, &image];
    let warm = || Invocation::of(&words).called("warmer").run();
    warm().succeeds();
    let entry = volume.path().join(lab.base.manifest.digest().to_string());
    let indexes = || -> Vec<PathBuf> {
        let outlines = fs::read_dir(entry.join("outlines")).unwrap();
        let indexes = outlines.map(|outline| outline.unwrap().path().join("index.json"));
        indexes.filter(|index| index.is_file()).collect()
    };
    assert_eq!(indexes().len(), 3);
    // One that was warmed without any, or not to the end, gets them.
    for index in indexes() {
        fs::remove_file(index).unwrap();
    }
    warm().succeeds();
    assert_eq!(indexes().len(), 3);
    empty(&entry);
    let built = lab.build(COPY, "one", &[&directory, "--no-push-cache"]);
    assert_eq!(lab.reads(), [0, 0, 0]);
    built.says("3 of 3 layers are known");
    assert_eq!(built.read("digest"), lab.plain(COPY, "one"));
}
