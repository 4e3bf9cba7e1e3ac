use std::path::Path;

use kigumi_registry::{Client, ClientConfig};
use kigumi_testkit::{Action, Authentication, FakeRegistry, Fault, When};

use super::*;

fn environment(directory: &Path) -> Environment {
    let config = directory.display().to_string();
    Environment {
        variables: [("DOCKER_CONFIG".to_owned(), config)].into(),
        working_directory: "/".into(),
        ..Environment::default()
    }
}

fn refused(registry: &FakeRegistry) -> BuildError {
    let runtime = crate::build::runtime().unwrap();
    let reference = registry.reference("app:1").parse().unwrap();
    let source = runtime.block_on(async {
        let client = Client::start(ClientConfig::default()).await.unwrap();
        client.check_push_permission(&reference).await.unwrap_err()
    });
    BuildError::Registry {
        operation: "push".to_owned(),
        source: Arc::new(source),
    }
}

#[test]
fn who_has_no_credential_hears_where_one_was_looked_for() {
    let registry = FakeRegistry::builder()
        .authentication(Authentication::token("me", "secret"))
        .start();
    let error = refused(&registry);
    let place = tempfile::tempdir().unwrap();
    let said = || advice(&error, &environment(place.path())).unwrap();
    let file = place.path().join("config.json");
    assert!(
        said().starts_with(&format!("there is no `{}`", file.display())),
        "{}",
        said()
    );
    std::fs::write(place.path().join(".dockerconfigjson"), "{}").unwrap();
    assert!(said().contains("path: config.json"), "{}", said());
    std::fs::write(&file, "{}").unwrap();
    assert!(
        said().contains("has no entry for this registry"),
        "{}",
        said()
    );
}

#[test]
fn a_credential_that_is_refused_is_wrong_or_not_enough() {
    let registry = FakeRegistry::start();
    let place = tempfile::tempdir().unwrap();
    for (status, expected) in [(401, "wrong or has expired"), (403, "needs the right")] {
        let said = credentials::about_refusal(
            "credentials: entry `r.test` of config.json",
            Some(status),
            &environment(place.path()),
        );
        assert!(said.contains(expected), "{said}");
    }
    let action = Action::error(403, "DENIED", "not yours");
    registry.fail(Fault::new(When::next("POST", "").always(), action));
    let said = advice(&refused(&registry), &environment(place.path())).unwrap();
    assert!(said.contains("DOCKER_AUTH_CONFIG"), "{said}");
}

#[test]
fn a_registry_that_does_not_answer_is_told_with_what_to_do() {
    let secure = FakeRegistry::builder().tls(&["localhost"]).start();
    let port = secure.authority().rsplit_once(':').unwrap().1.to_owned();
    let runtime = crate::build::runtime().unwrap();
    for (host, expected) in [
        (format!("localhost:{port}"), "--registry-certificate"),
        ("localhost:1".to_owned(), "nothing listens"),
    ] {
        let reference = format!("{host}/app:1").parse().unwrap();
        let config = ClientConfig {
            retry: kigumi_registry::RetryPolicy::immediate(1),
            ..ClientConfig::default()
        };
        let source = runtime.block_on(async {
            let client = Client::start(config).await.unwrap();
            client.check_push_permission(&reference).await.unwrap_err()
        });
        let error = BuildError::Web(Arc::new(source));
        let said = advice(&error, &Environment::default());
        assert!(said.as_ref().unwrap().contains(expected), "{said:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_told_with_what_to_do() {
    let credentials = |kind: io::ErrorKind| BuildError::Read {
        what: "the registry credentials",
        path: "/kaniko/.docker/config.json".into(),
        source: kind.into(),
    };
    let work = BuildError::Work {
        operation: "make",
        directory: "/kaniko".into(),
        source: io::ErrorKind::ReadOnlyFilesystem.into(),
    };
    let full = BuildError::Output {
        what: "archive",
        path: "/x".into(),
        source: io::ErrorKind::StorageFull.into(),
    };
    for (error, user, expected) in [
        (credentials(io::ErrorKind::IsADirectory), 0, "subPath"),
        (
            credentials(io::ErrorKind::PermissionDenied),
            1000,
            "runAsUser: 0",
        ),
        (work, 0, "readOnlyRootFilesystem"),
        (full, 0, "is full"),
    ] {
        let kind = cause::<io::Error>(&error).unwrap().kind();
        let said = about_file(&error, kind, user);
        assert!(said.as_ref().unwrap().contains(expected), "{said:?}");
    }
    // Root is not told to be root.
    let error = credentials(io::ErrorKind::PermissionDenied);
    assert_eq!(about_file(&error, io::ErrorKind::PermissionDenied, 0), None);
}

#[test]
fn the_advice_is_the_end_of_the_last_line_k_exit_07() {
    let error = BuildError::Run {
        command: "\"/bin/sh -c true\"".to_owned(),
        source: kigumi_run::Error::Credentials {
            uid: 0,
            gid: 0,
            source: io::Error::from(io::ErrorKind::PermissionDenied),
        },
    };
    let file = kigumi_dockerfile::Source::new("Dockerfile", "FROM a\nRUN true\n");
    let span = kigumi_dockerfile::Span {
        start: 7,
        end: 15,
        line: 2,
        end_line: 2,
    };
    let error = error.at(&file, span, "RUN true");
    let text = error.render_with(advice(&error, &Environment::default()).as_deref());
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("error: Dockerfile:2: run"), "{text}");
    assert!(
        last.contains("; the container may not change users"),
        "{text}"
    );
}
