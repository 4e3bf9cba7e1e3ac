//! What people get wrong at two in the morning, and what the last line tells them to do (K-EXIT-07).

use kigumi_testkit::{Authentication, FakeRegistry};

use crate::harness::{Invocation, Outcome};

const COPY: &str = "FROM scratch\nCOPY a /\n";

fn built(file: &str, words: &[&str]) -> Outcome {
    Invocation::build(file).args(words).run()
}

/// A build that may push over plain HTTP, with a `config.json` of this name and content.
fn with_secret(registry: &FakeRegistry, name: &str, content: &str) -> Outcome {
    let build = Invocation::build(COPY).file(name, content);
    let directory = build.path("").display().to_string();
    let destination = registry.reference("app:1");
    let words = ["-d", &destination, "--insecure"];
    build.env("DOCKER_CONFIG", &directory).args(&words).run()
}

#[test]
fn a_secret_that_is_missing_misnamed_incomplete_or_wrong_is_told_apart() {
    let registry = FakeRegistry::builder()
        .authentication(Authentication::basic("ci", "right"))
        .start();
    let entry = |password: &str| {
        format!(
            r#"{{"auths":{{"{}":{{"username":"ci","password":"{password}"}}}}}}"#,
            registry.authority()
        )
    };
    for (name, content, expected) in [
        (
            "unrelated",
            "{}".to_owned(),
            "config.json`: mount or write it",
        ),
        (
            ".dockerconfigjson",
            entry("right"),
            "items: [{key: .dockerconfigjson, path: config.json}]",
        ),
        (
            "config.json",
            r#"{"auths":{}}"#.to_owned(),
            "has no entry for this registry",
        ),
        ("config.json", entry("an-old-one"), "wrong or has expired"),
    ] {
        with_secret(&registry, name, &content).fails(expected);
    }
    with_secret(&registry, "config.json", &entry("right")).succeeds();
}

#[test]
fn a_copy_of_what_the_ignore_file_hides_names_that_file() {
    for words in [
        &["--no-push"][..],
        &[
            "--no-push",
            "--cache",
            "--cache-repo=oci:cache",
            "--cache-copy-layers",
        ],
    ] {
        let build = Invocation::build(COPY).file("context/.dockerignore", "a\n");
        build
            .args(words)
            .run()
            .fails("`/a` not found: the ignore file (`.dockerignore`)");
    }
    // What is not there at all is not blamed on it.
    let outcome = built("FROM scratch\nCOPY nothing /\n", &["--no-push"]);
    outcome
        .fails("`/nothing` not found in the build context")
        .is_silent_about("ignore file");
}

#[test]
fn a_context_that_is_not_there_is_told_before_anything_is_built() {
    // Nothing of this Dockerfile needs a context; whoever names one means it.
    let outcome = built(
        "FROM scratch\nENV a=b\n",
        &[
            "--no-push",
            "--context=dir:///nowhere",
            "-f",
            "context/Dockerfile",
        ],
    );
    outcome.fails("--context: there is no directory `/nowhere`");
}

#[test]
fn a_registry_that_cannot_be_spoken_to_is_told_with_the_flag_that_helps() {
    let secure = FakeRegistry::builder().tls(&["localhost"]).start();
    let port = secure.authority().rsplit_once(':').unwrap().1.to_owned();
    let destination = format!("--destination=localhost:{port}/app:1");
    built(COPY, &[&destination]).fails("--registry-certificate=HOST=FILE");
}
