//! Whether the image may be pushed, asked before anything is built.

use std::sync::Arc;

use kigumi_oci::Reference;
use kigumi_registry::{Client, Error, Repository};
use tokio::runtime::Handle;

use crate::cli::{CachePlace, Config, Environment};
use crate::credentials::credential_files;
use crate::error::{BuildError, chain};
use crate::report::Events;

/// One reference of each repository that has to be writable, in order: those that the image goes to. A build that pushes no image is
/// there for its cache.
///
/// COMPAT(kaniko): beside an image, a cache that cannot be written is not worth a failed build.
pub(crate) fn wanted(config: &Config) -> Vec<Reference> {
    if config.registry.skip_push_permission_check {
        return Vec::new();
    }
    if config.push {
        return repositories(&config.destinations);
    }
    let written = config.cache.as_ref().filter(|cache| cache.writes);
    match written.map(|cache| &cache.place) {
        Some(CachePlace::Repository(reference)) => vec![(**reference).clone()],
        Some(CachePlace::Directory(_)) | None => Vec::new(),
    }
}

fn repositories(references: &[Reference]) -> Vec<Reference> {
    let mut wanted: Vec<Reference> = Vec::new();
    for reference in references {
        let repository = Repository::of(reference);
        if !wanted.iter().any(|one| Repository::of(one) == repository) {
            wanted.push(reference.clone());
        }
    }
    wanted
}

/// Asks all registries at once whether `references` may be pushed to. Every refusal is told; the first is the error.
pub(crate) async fn check(
    client: &Client,
    handle: &Handle,
    references: Vec<Reference>,
    environment: &Environment,
    events: &Events,
) -> Result<(), BuildError> {
    let asked: Vec<_> = references
        .into_iter()
        .map(|reference| {
            let client = client.clone();
            handle.spawn(async move {
                let outcome = client.check_push_permission(&reference).await;
                outcome.map_err(|error| (reference, error))
            })
        })
        .collect();
    let mut first = None;
    for task in asked {
        let outcome = task.await.map_err(|error| BuildError::Machine {
            operation: "wait for a registry's answer",
            source: std::io::Error::other(error),
        })?;
        let Err((reference, source)) = outcome else {
            continue;
        };
        let refusal = refusal(&reference, source, environment);
        match first {
            None => first = Some(refusal),
            Some(_) => events.warn(chain(&refusal)),
        }
    }
    first.map_or(Ok(()), Err)
}

fn refusal(reference: &Reference, source: Error, environment: &Environment) -> BuildError {
    let hint = if source.is_about_permission() {
        shadow(environment)
    } else {
        String::new()
    };
    BuildError::Registry {
        operation: format!("nothing can be brought to `{reference}`{hint}"),
        source: Arc::new(source),
    }
}

/// K-AUTH-06: who has put the right password into a file does not expect that a variable of the pipeline wins over it.
fn shadow(environment: &Environment) -> String {
    let set = environment.variables.get("DOCKER_AUTH_CONFIG");
    if set.is_none_or(String::is_empty) {
        return String::new();
    }
    let files = credential_files(environment);
    let file = files.into_iter().find(|file| file.is_file());
    let file = file.map_or_else(
        || "config.json".to_owned(),
        |file| format!("`{}`", file.display()),
    );
    format!(" (DOCKER_AUTH_CONFIG is set: its entries win over those of {file})")
}

#[cfg(test)]
mod tests {
    use kigumi_registry::ClientConfig;
    use kigumi_testkit::{Action, FakeRegistry, Fault, When};
    use std::sync::Mutex;

    use super::*;
    use crate::report::BuildEvent;

    fn asked(
        registries: &[&FakeRegistry],
        variables: &[(&str, &str)],
    ) -> (Result<(), String>, Vec<BuildEvent>) {
        let runtime = crate::build::runtime().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let events = Events::new(move |event| sink.lock().unwrap().push(event));
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = Environment {
            variables: variables.iter().map(pair).collect(),
            ..Environment::default()
        };
        let references = registries.iter().flat_map(|registry| {
            ["app:1", "app:2"].map(|name| registry.reference(name).parse().unwrap())
        });
        let references: Vec<Reference> = references.collect();
        let outcome = runtime.block_on(async {
            let client = Client::start(ClientConfig::default()).await.unwrap();
            let wanted = repositories(&references);
            check(&client, runtime.handle(), wanted, &environment, &events).await
        });
        let heard = heard.lock().unwrap().clone();
        (outcome.map_err(|error| chain(&error)), heard)
    }

    #[test]
    fn what_is_written_to_is_asked_for_and_nothing_else() {
        let wanted = |words: &[&str]| -> Vec<String> {
            let args = crate::cli::parse(std::iter::once("executor").chain(words.iter().copied()));
            let config = Config::new(&args.unwrap().build, &Environment::default());
            let wanted = super::wanted(&config.unwrap());
            wanted.iter().map(Reference::whole).collect()
        };
        let pushed = ["-d=r.test/a:1", "-d=r.test/a:2", "-d=r.test/b:1"];
        assert_eq!(wanted(&pushed), ["r.test/a:1", "r.test/b:1"]);
        let cache = ["--cache", "--cache-repo=r.test/cache", "--no-push"];
        assert_eq!(wanted(&cache), ["r.test/cache:latest"]);
        let skipped = "--skip-push-permission-check";
        let cases: [&[&str]; 3] = [
            &["--no-push", "-d=r.test/a"],
            &["-d=r.test/a", skipped],
            &["--cache", "--cache-repo=r.test/cache", "--no-push", skipped],
        ];
        for words in cases {
            assert!(wanted(words).is_empty(), "{words:?}");
        }
    }

    fn closed() -> FakeRegistry {
        let registry = FakeRegistry::start();
        let action = Action::error(403, "DENIED", "not yours");
        registry.fail(Fault::new(When::next("POST", "").always(), action));
        registry
    }

    #[test]
    fn every_repository_is_asked_once_before_the_build() {
        let (one, two) = (FakeRegistry::start(), FakeRegistry::start());
        let (outcome, _) = asked(&[&one, &two], &[]);
        assert_eq!(outcome, Ok(()));
        let posts = [one.requests("POST").len(), two.requests("POST").len()];
        assert_eq!(posts, [1, 1]);
    }

    #[test]
    fn every_refusal_is_told_with_what_the_registry_says() {
        let (open, one, two) = (FakeRegistry::start(), closed(), closed());
        let (outcome, heard) = asked(&[&one, &open, &two], &[]);
        let error = outcome.unwrap_err();
        for part in [
            one.authority(),
            "HTTP 403 DENIED: not yours",
            "without credentials",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(error.matches("check").count(), 1, "{error}");
        let told = |event: &BuildEvent| matches!(event, BuildEvent::Warning { message } if message.contains(two.authority()));
        assert!(heard.iter().any(told), "{heard:?}");
    }

    #[test]
    fn a_variable_that_hides_the_file_is_named_k_auth_06() {
        let registry = closed();
        let set = [("DOCKER_AUTH_CONFIG", "{}")];
        let (with, _) = asked(&[&registry], &set);
        let (without, _) = asked(&[&registry], &[("DOCKER_AUTH_CONFIG", "")]);
        assert!(with.unwrap_err().contains("DOCKER_AUTH_CONFIG is set"));
        assert!(!without.unwrap_err().contains("DOCKER_AUTH_CONFIG"));
    }
}
