use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use super::{Credential, docker_config};
use crate::{Error, limits};

/// Where `docker-credential-*` programs are looked for.
#[derive(Clone, Debug, Default)]
pub struct Helpers {
    path: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Helpers {
    /// Looks in the given directories, first match wins.
    pub const fn new(path: Vec<PathBuf>) -> Self {
        Self { path }
    }

    /// Finds no program.
    pub const fn none() -> Self {
        Self { path: Vec::new() }
    }

    /// Asks `docker-credential-<helper>` for `server`. `None` when it knows nothing of it.
    ///
    /// # Errors
    /// [`Error::NoHelper`] when there is no such program, [`Error::Helper`] when it fails.
    pub(super) fn get(
        &self,
        origin: &str,
        helper: &str,
        server: &str,
    ) -> Result<Option<Credential>, Error> {
        let program = self.find(helper).ok_or_else(|| Error::NoHelper {
            origin: origin.to_owned(),
            helper: helper.to_owned(),
            registry: server.to_owned(),
        })?;
        let failed = |reason: String| Error::Helper {
            helper: helper.to_owned(),
            registry: server.to_owned(),
            reason,
        };
        let mut child = Command::new(program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let output = converse(&mut child, server).map_err(|error| failed(error.to_string()));
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        let output = output?;
        if !status.success() {
            // The text is the protocol: docker-credential-helpers, `credentials.NewErrCredentialsNotFound`.
            let unknown = output.trim() == "credentials not found in native keychain";
            return if unknown {
                Ok(None)
            } else {
                Err(failed(format!("it ended with {status}")))
            };
        }
        // The parser's words are left out: they quote values.
        let answer: Answer = serde_json::from_str(&output)
            .map_err(|_| failed("its answer is not JSON with Username and Secret".to_owned()))?;
        Ok(Some(docker_config::basic(answer.username, answer.secret)))
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

fn converse(child: &mut Child, server: &str) -> std::io::Result<String> {
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(server.as_bytes()) {
            // A helper that does not read its input may still answer.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            outcome => outcome?,
        }
    }
    let mut output = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(limits::JSON).read_to_string(&mut output)?;
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn helpers(script: &str) -> (tempfile::TempDir, Helpers) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("docker-credential-fake");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let helpers = Helpers::new(vec![directory.path().to_owned()]);
        (directory, helpers)
    }

    #[test]
    fn a_helper_is_asked_for_the_server_on_its_standard_input() {
        let (_directory, helpers) = helpers(
            r#"read -r server || true; printf '{"ServerURL":"%s","Username":"%s","Secret":"%s"}' "$server" "$1" "$server""#,
        );
        let Some(Credential::Basic { username, password }) =
            helpers.get("x", "fake", "a.test").unwrap()
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
        assert!(unknown.get("x", "fake", "a.test").unwrap().is_none());
        let (_directory, broken) = helpers("echo hunter2; exit 3");
        let error = broken.get("x", "fake", "a.test").map(|_| ()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let (_directory, nonsense) = helpers("echo '\"hunter2\"'");
        let error = nonsense.get("x", "fake", "a.test").map(|_| ()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_helper_name_is_not_a_path() {
        let (_directory, helpers) = helpers("echo");
        let error = helpers.get("x", "../docker-credential-fake", "a.test");
        assert!(matches!(error, Err(Error::NoHelper { .. })));
    }
}
