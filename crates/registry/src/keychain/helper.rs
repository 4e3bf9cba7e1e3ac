use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde::{Deserialize, Serialize};

use super::{NativeProvider, Natives, Sourced, config_key, docker_config};
use crate::{Error, Registry, Secret, program};

/// Where `docker-credential-*` programs are looked for, and what stands in for those that are not there.
#[derive(Clone, Debug, Default)]
pub struct Helpers {
    path: Vec<PathBuf>,
    natives: Option<Natives>,
    /// Where programs of the names of natives are no more than names.
    own: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    username: &'a str,
    secret: &'a str,
}

impl Helpers {
    /// Looks in the given directories, first match wins.
    pub const fn new(path: Vec<PathBuf>) -> Self {
        Self {
            path,
            natives: None,
            own: None,
        }
    }

    /// Finds no program.
    pub const fn none() -> Self {
        Self::new(Vec::new())
    }

    /// Has `ecr-login`, `gcr`, `gcloud`, `acr-env` and `acr` built in, where there is no such program (K-AUTH-02).
    #[must_use]
    pub fn with_natives(mut self, natives: Natives) -> Self {
        self.natives = Some(natives);
        self
    }

    /// Has what is built in stand in for programs in this directory, too: the image has their names there, and no programs behind them.
    #[must_use]
    pub fn with_names_in(mut self, directory: PathBuf) -> Self {
        self.own = Some(directory);
        self
    }

    /// Asks `docker-credential-<helper>` for a registry. `None` when it knows nothing of it.
    ///
    /// # Errors
    /// [`Error::NoHelper`] when there is no such program, [`Error::Helper`] when it fails.
    pub(super) fn get(
        &self,
        origin: &str,
        helper: &str,
        registry: &Registry,
    ) -> Result<Option<Sourced>, Error> {
        let program = self.find(helper);
        let is_name = |program: &Path| self.own.as_deref() == program.parent();
        if let (None, Some(natives), Some(provider)) = (
            program.as_deref().filter(|program| !is_name(program)),
            &self.natives,
            NativeProvider::of_helper(helper),
        ) {
            let found = natives.get(provider, registry)?;
            return Ok(found.map(|found| Sourced {
                source: format!("{}, for `{helper}` of {origin}", found.source),
                ..found
            }));
        }
        let server = config_key(registry);
        let program = program.ok_or_else(|| no_helper(origin, helper, server))?;
        let output = match run(&program, (helper, "get"), server, server)? {
            Ok(output) => output,
            // The text is the protocol: docker-credential-helpers, `credentials.NewErrCredentialsNotFound`.
            Err((_, output)) if output.trim() == "credentials not found in native keychain" => {
                return Ok(None);
            }
            Err((status, _)) => {
                return Err(failed(helper, server, format!("it ended with {status}")));
            }
        };
        // The parser's words are left out: they quote values.
        let answer: Answer = serde_json::from_str(&output).map_err(|_quotes_values| {
            let reason = "its answer is not JSON with Username and Secret";
            failed(helper, server, reason.to_owned())
        })?;
        Ok(Some(Sourced {
            credential: docker_config::basic(answer.username, answer.secret),
            source: format!("docker-credential-{helper}, named in {origin}"),
            until: None,
        }))
    }

    /// Has `docker-credential-<helper>` keep a user and password.
    ///
    /// # Errors
    /// [`Error::NoHelper`] when there is no such program, [`Error::Helper`] when it fails.
    pub fn store(
        &self,
        origin: &str,
        helper: &str,
        registry: &Registry,
        (username, password): (&str, &Secret<String>),
    ) -> Result<(), Error> {
        let server = config_key(registry);
        let program = self
            .find(helper)
            .ok_or_else(|| no_helper(origin, helper, server))?;
        let entry = Entry {
            server,
            username,
            secret: password.expose(),
        };
        let input = serde_json::to_string(&entry)
            .map_err(|error| failed(helper, server, error.to_string()))?;
        run(&program, (helper, "store"), server, &input)?
            .map(drop)
            .map_err(|(status, _)| failed(helper, server, format!("it ended with {status}")))
    }

    fn find(&self, helper: &str) -> Option<PathBuf> {
        // A name is a name: with a slash it would be a path to anything.
        if helper.contains(['/', '\0']) {
            return None;
        }
        self.path
            .iter()
            .map(|directory| directory.join(format!("docker-credential-{helper}")))
            .find(|program| program.is_file())
    }
}

fn no_helper(origin: &str, helper: &str, server: &str) -> Error {
    Error::NoHelper {
        origin: origin.to_owned(),
        helper: helper.to_owned(),
        registry: server.to_owned(),
    }
}

fn failed(helper: &str, server: &str, reason: String) -> Error {
    Error::Helper {
        helper: helper.to_owned(),
        registry: server.to_owned(),
        reason,
    }
}

/// What a helper prints; its status and that when it fails.
fn run(
    program: &Path,
    (helper, verb): (&str, &str),
    server: &str,
    input: &str,
) -> Result<Result<String, (ExitStatus, String)>, Error> {
    let mut command = Command::new(program);
    command.arg(verb);
    let outcome = program::run(command, input, program::PATIENCE)
        .map_err(|error| failed(helper, server, error.to_string()))?;
    Ok(if outcome.status.success() {
        Ok(outcome.output)
    } else {
        Err((outcome.status, outcome.output))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keychain::Credential;

    fn server() -> Registry {
        Registry::new("a.test")
    }

    fn helpers(script: &str) -> (tempfile::TempDir, Helpers) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("docker-credential-fake");
        kigumi_testkit::write_program(&program, &format!("#!/bin/sh\n{script}\n"));
        let helpers = Helpers::new(vec![directory.path().to_owned()]);
        (directory, helpers)
    }

    #[test]
    fn a_helper_is_asked_for_the_server_on_its_standard_input() {
        let (_directory, helpers) = helpers(
            r#"read -r server || true; printf '{"ServerURL":"%s","Username":"%s","Secret":"%s"}' "$server" "$1" "$server""#,
        );
        let found = helpers.get("x", "fake", &server()).unwrap();
        let Some(Credential::Basic { username, password }) = found.map(|found| found.credential)
        else {
            panic!("no credential")
        };
        assert_eq!(
            (username.as_str(), password.expose().as_str()),
            ("get", "a.test")
        );
    }

    #[test]
    fn a_helper_that_knows_nothing_is_not_an_error_and_one_that_fails_is() {
        let (_directory, unknown) =
            helpers("echo 'credentials not found in native keychain'; exit 1");
        assert!(unknown.get("x", "fake", &server()).unwrap().is_none());
        let (_directory, broken) = helpers("echo hunter2; exit 3");
        let error = broken.get("x", "fake", &server()).map(|_| ()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let (_directory, nonsense) = helpers("echo '\"hunter2\"'");
        let error = nonsense
            .get("x", "fake", &server())
            .map(|_| ())
            .unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn what_a_helper_keeps_comes_on_its_standard_input() {
        let (directory, helpers) = helpers("cat > \"$0.$1\"");
        let password = Secret::new("p\"w".to_owned());
        let hub = Registry::new("docker.io");
        helpers.store("x", "fake", &hub, ("u", &password)).unwrap();
        let kept = directory.path().join("docker-credential-fake.store");
        assert_eq!(
            std::fs::read_to_string(kept).unwrap(),
            r#"{"ServerURL":"https://index.docker.io/v1/","Username":"u","Secret":"p\"w"}"#
        );
    }

    #[test]
    fn a_helper_name_is_not_a_path() {
        let (_directory, helpers) = helpers("echo");
        let error = helpers.get("x", "../docker-credential-fake", &server());
        assert!(matches!(error, Err(Error::NoHelper { .. })));
    }
}
