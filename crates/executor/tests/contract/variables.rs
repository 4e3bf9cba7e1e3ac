//! Environment variables that are no flags.

use crate::Row;
use crate::harness::Invocation;

pub(crate) const ROWS: &[Row] = &[
    ("KANIKO_DIR", kaniko_dir),
    ("KANIKO_PRINT_PLAN", kaniko_print_plan),
    ("SNAPSHOT_TIMEOUT_DURATION", || {
        has_no_effect(&["SNAPSHOT_TIMEOUT_DURATION", "SNAPSHOT_TIMEOUT"]);
    }),
    ("KANIKO_IGNORE_ASSERTIONS", || {
        has_no_effect(&["KANIKO_IGNORE_ASSERTIONS"]);
    }),
    ("KANIKO_TELEMETRY_*", || {
        has_no_effect(&[
            "KANIKO_TELEMETRY_ENDPOINT",
            "KANIKO_TELEMETRY_OMIT_DOCKERFILE",
        ]);
    }),
    ("OTEL_*", || {
        has_no_effect(&[
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_SERVICE_NAME",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        ]);
    }),
    ("BENCHMARK_FILE", || has_no_effect(&["BENCHMARK_FILE"])),
    ("DOCKER_CREDENTIAL_GCR_CONFIG", || {
        has_no_effect(&["DOCKER_CREDENTIAL_GCR_CONFIG"]);
    }),
    ("USER", user),
    ("FF_KANIKO_*", features),
    ("FF_KANIKO_COPY_AS_ROOT", copy_as_root),
];

const COPY: &str = "FROM scratch\nCOPY a /\n";

/// Work files go there, and what pointed into the directory of the executor points there where that has it.
fn kaniko_dir() {
    let build = Invocation::build(COPY);
    let moved = build.path("elsewhere").display().to_string();
    let outcome = build.args(&["--no-push"]).env("KANIKO_DIR", &moved).run();
    assert!(
        outcome
            .succeeds()
            .directory
            .path()
            .join("elsewhere")
            .is_dir()
    );
    let executor = std::path::Path::new(env!("CARGO_BIN_EXE_executor"));
    let old = executor
        .parent()
        .unwrap()
        .join(".docker-of-a-test")
        .display()
        .to_string();
    let build = Invocation::build(COPY).env("DOCKER_CONFIG", &old);
    std::fs::create_dir_all(build.path("kaniko/.docker-of-a-test")).unwrap();
    let build = build.file("kaniko/.docker-of-a-test/config.json", "no json");
    build
        .args(&["--no-push"])
        .run()
        .fails("kaniko/.docker-of-a-test/config.json");
}

fn kaniko_print_plan() {
    for (value, printed) in [("1", true), ("maybe", false)] {
        let words = ["--no-push", "--digest-file=d"];
        let outcome = Invocation::build(COPY)
            .env("KANIKO_PRINT_PLAN", value)
            .args(&words)
            .run();
        assert_eq!(
            outcome.succeeds().stdout.contains("context [a] -> /"),
            printed
        );
        assert!(
            outcome.read("d").starts_with("sha256:"),
            "it is built all the same"
        );
    }
}

/// They are told of at debug level, and nowhere else (K-DROP-03).
fn has_no_effect(names: &[&str]) {
    let build = |level: &str| {
        let build = names.iter().fold(Invocation::build(COPY), |build, name| {
            build.env(name, "s3cr3t")
        });
        build.args(&["--no-push", "-v", level]).run()
    };
    for name in names {
        let told = format!("{name} has no effect");
        build("debug")
            .succeeds()
            .says(&told)
            .is_silent_about("s3cr3t");
        build("info").succeeds().is_silent_about(&told);
    }
}

/// COPY and ADD do not depend on it, set or not.
fn user() {
    let file = "FROM scratch\nCOPY a /\nADD b /\n";
    let without = Invocation::build(file).args(&["--reproducible"]).image();
    let with = Invocation::build(file)
        .args(&["--reproducible"])
        .env("USER", "somebody")
        .image();
    assert_eq!(without.digest, with.digest);
}

/// Contract § 9
const FEATURES: &[&str] = &[
    "BUILDKIT_ARG_ENV_PRECEDENCE",
    "CACHE_LOOKAHEAD",
    "CACHE_PROBE_AFTER_MISS",
    "CHOWN_ON_IMPLICIT_DIRS",
    "CLEAN_KANIKO_DIR",
    "COPY_AS_ROOT",
    "COPY_CHMOD_ON_IMPLICIT_DIRS",
    "CROSS_REPO_MOUNT",
    "DEPRECATE_INTER_STAGE_RESTORE",
    "DISABLE_HTTP2",
    "EXPAND_HEREDOC",
    "HASH_DIR_FRAMING",
    "IGNORE_CACHED_MANIFEST",
    "INFER_CROSS_STAGE_CACHE_KEY",
    "NATIVE_COPY",
    "NO_PROPAGATE_ANNOTATIONS",
    "OCI_SCRATCH_BASE",
    "OCI_WARMER",
    "PATH_SCOPED_REGISTRY_AUTH",
    "POOL_REGISTRY_CONNECTIONS",
    "PRECOMPILE_DOCKERIGNORE",
    "PRESERVE_HARDLINKS",
    "PRESERVE_MOUNTED_PATHS",
    "RELATIVE_LINK_TARGETS",
    "REPRODUCIBLE_PRESERVE_BASE_LAYERS",
    "RESOLVE_CACHE_KEY",
    "ROLLING_CACHE_KEY",
    "RUN_HONOR_GROUP",
    "RUN_MOUNT_BIND",
    "RUN_VIA_TINI",
    "SCOPED_DOCKERIGNORE",
    "SECUREJOIN_EXTRACTION",
    "SHARED_BASE_CACHE",
    "SKIP_CACHED_STAGES",
    "SKIP_RELABEL_RECOMPRESS",
    "SKIP_WRITE_WHITEOUTS",
    "UNTAR_SKIP_ROOT",
    "VOLUME_SKIP_MKDIR",
    "WARMER_CACHE_LOCK",
    "SQUASH_STAGES",
    "OCI_STAGES",
    "RUN_MOUNT_SECRET",
    "RUN_MOUNT_CACHE",
];

/// K-FF-01, K-FF-02, K-FF-03, K-FF-05
fn features() {
    let build = |names: &[&str], value: &str, level: &str| {
        let name = |name: &&str| format!("FF_KANIKO_{name}");
        let build = names
            .iter()
            .map(name)
            .fold(Invocation::build(COPY), |build, name| {
                build.env(&name, value)
            });
        build.args(&["--no-push", "-v", level]).run()
    };
    for value in ["true", "false", "nonsense"] {
        assert_eq!(
            build(FEATURES, value, "warn").succeeds().stderr,
            "",
            "{value}"
        );
    }
    let told = build(FEATURES, "false", "info");
    assert_eq!(
        told.stderr
            .matches("FF_KANIKO_RUN_MOUNT_BIND=false has no effect")
            .count(),
        1
    );
    told.is_silent_about("FF_KANIKO_SQUASH_STAGES")
        .is_silent_about("FF_KANIKO_CACHE_LOOKAHEAD");
    let unknown = build(&["RUN_MOUNT_BINDS"], "true", "warn");
    assert_eq!(unknown.succeeds().stderr.lines().count(), 1);
    unknown.says("warning: there is no variable FF_KANIKO_RUN_MOUNT_BINDS; did you mean FF_KANIKO_RUN_MOUNT_BIND?");
}

/// K-DROP-07
fn copy_as_root() {
    let file = "FROM scratch\nUSER 5:6\nCOPY a /\nCOPY --chown=7:8 b /\n";
    let owners = |value: Option<&str>| {
        let build = Invocation::build(file).args(&["--reproducible"]);
        let build = value.into_iter().fold(build, |build, value| {
            build.env("FF_KANIKO_COPY_AS_ROOT", value)
        });
        build.image().layers.concat()
    };
    let own = vec!["a 5:6 0".to_owned(), "b 7:8 0".to_owned()];
    let root = vec!["a 0:0 0".to_owned(), "b 7:8 0".to_owned()];
    assert_eq!(owners(Some("false")), own);
    for value in [None, Some("true"), Some("nonsense")] {
        assert_eq!(owners(value), root);
    }
}
