//! Flags about what is built and how it is told.

use serde_json::Value;

use crate::Row;
use crate::harness::{Invocation, text};

pub(crate) const ROWS: &[Row] = &[
    ("--dockerfile", dockerfile),
    ("--context", context),
    ("--build-arg", build_arg),
    ("--target", target),
    ("--label", label),
    ("--annotation", annotation),
    ("--compression", compression),
    ("--compression-level", compression_level),
    ("--image-format", image_format),
    ("--single-snapshot", single_snapshot),
    ("--reproducible", reproducible),
    ("--custom-platform", custom_platform),
    ("--secret", secret),
    ("--kaniko-dir", kaniko_dir),
    ("--dryrun", dryrun),
    ("--verbosity", verbosity),
    ("--log-format", log_format),
    ("--log-timestamp", log_timestamp),
    ("--snapshot-mode", snapshot_mode),
    ("--use-new-run", || {
        has_no_effect("--use-new-run", "--use-new-run");
    }),
    ("--compressed-caching", || {
        has_no_effect("--compressed-caching", "--compressed-caching=false");
    }),
    ("--ignore-var-run", || {
        has_no_effect("--ignore-var-run", "--ignore-var-run=false");
        has_no_effect("--ignore-var-run", "--whitelist-var-run");
    }),
    ("--force-build-metadata", || {
        has_no_effect("--force-build-metadata", "--force-build-metadata");
    }),
    ("--skip-unused-stages", || {
        has_no_effect("--skip-unused-stages", "--skip-unused-stages");
    }),
    ("--image-fs-extract-retry", || {
        has_no_effect("--image-fs-extract-retry", "--image-fs-extract-retry=3");
    }),
    ("--azure-container-registry-config", || {
        has_no_effect(
            "--azure-container-registry-config",
            "--azure-container-registry-config=/x",
        );
    }),
];

const COPY: &str = "FROM scratch\nCOPY a /\n";

fn dockerfile() {
    for words in [
        &["-f", "other"][..],
        &["-fother"],
        &["-f=other"],
        &["--dockerfile=context/other"],
    ] {
        let build = Invocation::build("FROM nowhere.test/x\n")
            .file("context/other", "FROM scratch\nLABEL x=other\n");
        assert_eq!(build.args(words).image().label("x"), "other", "{words:?}");
    }
    let outcome = Invocation::build(COPY)
        .args(&["--no-push", "-f", "missing"])
        .run();
    outcome.fails("no Dockerfile");
}

fn context() {
    let build = Invocation::build(COPY);
    let path = format!("dir://{}", build.path("context").display());
    assert_eq!(build.args(&["-c", &path]).image().names(), [["a"]]);
    Invocation::build(COPY)
        .args(&["--no-push", "-c", "nowhere"])
        .run()
        .fails("nowhere");
    // As the pod of kaniko's tutorial has it: below the root directory, not below the working directory.
    let build = Invocation::build(COPY);
    let below_root = build.path("context").display().to_string();
    let word = format!("-c=dir:/{below_root}");
    let words = ["--no-push", "--oci-layout-path=out", &word];
    let outcome = build.args(&words).run();
    outcome.succeeds().says("taking dir:///");
    assert_eq!(outcome.image().names(), [["a"]]);
}

fn build_arg() {
    let file = "FROM scratch\nARG A\nARG B\nARG C=default\nLABEL x=$A,$B,$C\n";
    let words = ["--build-arg=A=1,2", "--build-arg", "B", "--build-arg=C"];
    let image = Invocation::build(file).env("B", "env").args(&words).image();
    assert_eq!(image.label("x"), "1,2,env,");
}

fn target() {
    let file = "FROM scratch AS one\nLABEL x=1\nFROM scratch AS two\nLABEL x=2\nCOPY missing /\nFROM scratch\nLABEL x=3\n";
    assert_eq!(
        Invocation::build(file)
            .args(&["--target", "ONE"])
            .image()
            .label("x"),
        "1"
    );
    let two = Invocation::build(file)
        .args(&["--no-push", "--target=one,two"])
        .run();
    two.fails("missing");
    let good = file.replace("missing", "a");
    let words = ["--target=two", "--target=ONE"];
    let outcome = Invocation::build(&good)
        .args(&words)
        .args(&["--no-push", "--oci-layout-path=out"])
        .run();
    assert_eq!(
        outcome
            .succeeds()
            .says("one: from scratch")
            .image()
            .label("x"),
        "2"
    );
    assert_eq!(
        Invocation::build(&good)
            .args(&["--target", ""])
            .image()
            .label("x"),
        "3"
    );
    Invocation::build(&good)
        .args(&["--no-push", "--target=tow"])
        .run()
        .fails("target stage `tow` is not defined");
}

fn label() {
    let image = Invocation::build("FROM scratch AS x\nFROM x\nLABEL a=1 b=1\n")
        .args(&["--label=a=2", "--label", "c=d=e"])
        .image();
    assert_eq!(
        ["a", "b", "c"].map(|name| image.label(name)),
        ["2", "1", "d=e"]
    );
    Invocation::build(COPY)
        .args(&["--no-push", "--label=a"])
        .run()
        .fails("--label `a` has no `=`");
}

fn annotation() {
    for format in ["oci", "docker"] {
        let words = [
            "--annotation=a=1",
            "--annotation",
            "b=x=y",
            "--image-format",
            format,
        ];
        let image = Invocation::build(COPY).args(&words).image();
        let expected = serde_json::json!({"a": "1", "b": "x=y"});
        assert_eq!(image.manifest["annotations"], expected, "{format}");
    }
    assert_eq!(
        Invocation::build(COPY).image().manifest["annotations"],
        Value::Null
    );
}

fn compression() {
    let kind = |words: &[&str]| {
        text(&Invocation::build(COPY).args(words).image().manifest["layers"][0]["mediaType"])
    };
    assert!(kind(&[]).ends_with("tar+gzip"));
    assert!(kind(&["--compression=zstd"]).ends_with("tar+zstd"));
    let refused = ["--no-push", "--compression=zstd", "--image-format=docker"];
    Invocation::build(COPY)
        .args(&refused)
        .run()
        .fails("--compression=zstd");
}

fn compression_level() {
    let many = "abcdefgh".repeat(5000);
    let size = |level: &str| {
        let build = Invocation::build(COPY).file("context/a", &many);
        let image = build.args(&["--compression-level", level]).image();
        image.manifest["layers"][0]["size"].as_u64().unwrap()
    };
    assert!(size("9") < size("0"));
    Invocation::build(COPY)
        .args(&["--no-push", "--compression-level=99"])
        .run()
        .fails("--compression-level");
}

fn image_format() {
    for (word, kind) in [
        (
            "--image-format=oci",
            "application/vnd.oci.image.manifest.v1+json",
        ),
        (
            "--image-format=docker",
            "application/vnd.docker.distribution.manifest.v2+json",
        ),
        (
            "--image-format=",
            "application/vnd.oci.image.manifest.v1+json",
        ),
    ] {
        let image = Invocation::build(COPY).args(&[word]).image();
        assert_eq!(text(&image.manifest["mediaType"]), kind);
    }
}

/// K-FLAG-03, T-HIST-05
fn single_snapshot() {
    let file = "FROM scratch AS base\nCOPY a /dir/x\nFROM base\nCOPY b /dir/x\nCOPY a b /\nLABEL last=1\nMAINTAINER me\n";
    let several = Invocation::build(file).image();
    assert!(several.layers.len() == 3 && several.has_consistent_history());
    let one = Invocation::build(file).args(&["--single-snapshot"]).image();
    assert_eq!(one.names(), [["a", "b", "dir", "dir/x"]]);
    assert!(one.has_consistent_history(), "{}", one.config["history"]);
    assert_eq!(one.label("last"), "1");
    assert_eq!(
        one.config["history"].as_array().map(Vec::len),
        several.config["history"].as_array().map(Vec::len)
    );
    let none = Invocation::build("FROM scratch\nLABEL a=b\n")
        .args(&["--single-snapshot"])
        .image();
    assert!(none.layers.is_empty() && none.has_consistent_history());
}

fn reproducible() {
    let build = || Invocation::build(COPY).args(&["--reproducible"]).image();
    let image = build();
    assert_eq!(text(&image.config["created"]), "1970-01-01T00:00:00Z");
    assert!(image.layers[0][0].ends_with(" 0"), "{:?}", image.layers);
    assert_eq!(image.digest, build().digest);
}

fn custom_platform() {
    for word in [
        "--custom-platform=linux/arm64",
        "--customPlatform=linux/arm64",
    ] {
        let image = Invocation::build(COPY).args(&[word]).image();
        assert_eq!(
            (
                text(&image.config["os"]),
                text(&image.config["architecture"])
            ),
            ("linux".into(), "arm64".into())
        );
    }
    Invocation::build(COPY)
        .args(&["--no-push", "--custom-platform=a/b/c/d"])
        .run()
        .fails("a/b/c/d");
}

fn secret() {
    for (word, reason) in [
        ("--secret=id=x,env=UNSET", "UNSET"),
        ("--secret=id=x,src=/nowhere/x", "/nowhere/x"),
    ] {
        Invocation::build(COPY)
            .args(&["--no-push", word])
            .run()
            .fails(reason);
    }
    let build = Invocation::build(COPY).env("VALUE", "s3cr3t-value");
    build
        .args(&["--no-push", "--secret=id=x,env=VALUE", "-v=trace"])
        .run()
        .succeeds()
        .is_silent_about("s3cr3t-value");
}

fn kaniko_dir() {
    let outcome = Invocation::build(COPY)
        .args(&["--no-push", "--kaniko-dir=moved"])
        .run();
    outcome.succeeds();
    let made = |name: &str| outcome.directory.path().join(name).is_dir();
    assert!(
        made("moved") && !made("kaniko"),
        "the flag wins over the variable"
    );
}

/// K-FLAG-04, T-PUSH-08
fn dryrun() {
    let words = [
        "--dryrun",
        "-d",
        "127.0.0.1:1/nowhere",
        "--digest-file=digest",
        "--tar-path=tar",
    ];
    let outcome = Invocation::build(COPY).args(&words).run();
    assert!(
        outcome.succeeds().stdout.contains("context [a] -> /"),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.read("digest"), "");
    assert!(!outcome.directory.path().join("tar").exists());
}

fn verbosity() {
    let run = |level: &str| {
        Invocation::build(COPY)
            .args(&["--no-push", "-v", level, "--use-new-run"])
            .run()
    };
    for level in ["panic", "fatal", "error", "warn"] {
        assert_eq!(run(level).succeeds().stderr, "", "{level}");
    }
    run("info").says("stage 1/1").is_silent_about("debug: ");
    for level in ["debug", "trace"] {
        run(level).says("debug: --use-new-run has no effect");
    }
    run("loud").fails("--verbosity `loud`");
}

fn log_format() {
    let run = |format: &str| {
        Invocation::build(COPY)
            .args(&["--no-push", "--log-format", format])
            .run()
    };
    let outcome = run("json");
    for line in outcome.succeeds().stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            line["level"].is_string() && line["msg"].is_string(),
            "{line}"
        );
    }
    for format in ["text", "color"] {
        assert!(run(format).succeeds().stderr.starts_with('['));
    }
    run("xml").fails("--log-format `xml`");
}

fn log_timestamp() {
    let outcome = Invocation::build(COPY)
        .args(&["--no-push", "--log-timestamp"])
        .run();
    let first = outcome
        .succeeds()
        .stderr
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    assert!(first.starts_with("20") && first.ends_with('Z'), "{first}");
}

/// K-FLAG-05
fn snapshot_mode() {
    for mode in ["full", "redo", "time"] {
        has_no_effect("--snapshot-mode", &format!("--snapshot-mode={mode}"));
        has_no_effect("--snapshot-mode", &format!("--snapshotMode={mode}"));
    }
    Invocation::build(COPY)
        .args(&["--no-push", "--snapshot-mode=fast"])
        .run()
        .fails("full, redo, time");
}

/// The image is the same, and one line says so to whoever looks for it (K-DROP-03).
fn has_no_effect(flag: &str, word: &str) {
    let build = |words: &[&str]| {
        let build =
            Invocation::build(COPY).args(&["--reproducible", "--no-push", "--oci-layout-path=out"]);
        build.args(words).run()
    };
    let told = format!("{flag} has no effect");
    let (without, with) = (build(&[]), build(&[word]));
    assert_eq!(
        with.succeeds().is_silent_about(&told).image().digest,
        without.image().digest
    );
    build(&[word, "-v=debug"]).succeeds().says(&told);
}
