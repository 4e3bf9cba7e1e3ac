//! `credential_process`: a program that prints credentials.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::profile::Profile;
use super::{Credentials, container};
use crate::cloud::{Error, Provider, Surroundings};
use crate::program;

/// Variables with credentials of others, which the executor knows and the program has no business with.
const OTHERS: [&str; 13] = [
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_KEY",
    "CI_DEPLOY_PASSWORD",
    "CI_JOB_TOKEN",
    "CI_REGISTRY_PASSWORD",
    "DOCKER_AUTH_CONFIG",
    "GIT_PASSWORD",
    "GIT_TOKEN",
    "GIT_USERNAME",
    "IDENTITY_HEADER",
];

/// A program as it was at the start.
pub(super) struct Process {
    profile: String,
    program: PathBuf,
    arguments: Vec<String>,
    was: Identity,
    patience: Duration,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Arguments may be secrets.
        write!(f, "Process({})", self.program.display())
    }
}

/// Which file it is and when anything of it changed last: no RUN can make that up.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64, i64, i64);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

impl Process {
    /// `credential_process` of a profile.
    pub(super) fn of(
        surroundings: &Surroundings,
        profile: &Profile,
    ) -> Result<Option<Self>, Error> {
        let Some(line) = profile.get("credential_process") else {
            return Ok(None);
        };
        let wrong = |what: &str, fix: &str| profile.wrong(what, fix);
        let mut words = words(line)
            .ok_or_else(|| {
                wrong(
                    "has a credential_process with a quote that does not end",
                    "close it",
                )
            })?
            .into_iter();
        let name = words.next().unwrap_or_default();
        let found = find(surroundings, &name).and_then(|program| {
            let was = identity(&program)?;
            Some((program, was))
        });
        let (program, was) = found.ok_or_else(|| {
            profile.wrong(
                format!("has the credential_process `{name}`, which is no program here"),
                "put it into the image or mount it, or use the role of the pod",
            )
        })?;
        Ok(Some(Self {
            profile: profile.title(),
            program,
            arguments: words.collect(),
            was,
            patience: program::PATIENCE,
        }))
    }

    pub(super) async fn credentials(
        &self,
        surroundings: &Surroundings,
    ) -> Result<Credentials, Error> {
        let wrong = |what: &str, fix: &str| {
            let program = self.program.display();
            let what = format!("credential_process `{program}` of {} {what}", self.profile);
            Error::configuration(Provider::Aws, what, fix)
        };
        if identity(&self.program) != Some(self.was) {
            return Err(wrong(
                "is not what it was at the start: a base image or a RUN may have replaced it",
                "keep it below /kaniko or on a volume, where the build changes nothing",
            ));
        }
        let command = self.command(surroundings);
        let patience = self.patience;
        let running = tokio::task::spawn_blocking(move || program::run(command, "", patience));
        let fix = "run it by hand in this container: it prints JSON with Version 1, AccessKeyId and SecretAccessKey";
        let outcome = match running.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => return Err(wrong(&format!("failed: {error}"), fix)),
            Err(_) => return Err(wrong("was given up", fix)),
        };
        if !outcome.status.success() {
            let what = format!("ended with {}", outcome.status);
            return Err(wrong(&what, fix));
        }
        // The parser's words are left out: they quote values.
        let answer: Option<Answer> = serde_json::from_str(&outcome.output).ok();
        let answer = answer.filter(|answer| answer.version == 1);
        answer
            .and_then(|answer| container::Answer::from(answer).read(surroundings, self.source()))
            .ok_or_else(|| wrong("printed something else than credentials", fix))
    }

    fn source(&self) -> String {
        format!("credential_process of {}", self.profile)
    }

    fn command(&self, surroundings: &Surroundings) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.envs(
            surroundings
                .variables()
                .filter(|(name, _)| !is_others(name)),
        );
        command
    }
}

impl From<Answer> for container::Answer {
    fn from(answer: Answer) -> Self {
        Self {
            access_key_id: answer.access_key_id,
            secret_access_key: answer.secret_access_key,
            token: answer.session_token,
            expiration: answer.expiration,
        }
    }
}

fn is_others(name: &str) -> bool {
    OTHERS.contains(&name) || (name.starts_with("KANIKO_") && name.ends_with("_PASSWORD"))
}

/// A path, or a name that is looked for on `PATH`.
fn find(surroundings: &Surroundings, name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Path::new(name).canonicalize().ok();
    }
    let path = surroundings.variable("PATH")?;
    let mut found = path
        .split(':')
        .map(|directory| Path::new(directory).join(name))
        .filter(|program| !name.is_empty() && program.is_file());
    found.next()?.canonicalize().ok()
}

fn identity(program: &Path) -> Option<Identity> {
    let found = std::fs::metadata(program).ok()?;
    let identity = Identity(found.dev(), found.ino(), found.ctime(), found.ctime_nsec());
    found.is_file().then_some(identity)
}

/// Words of a command line: quotes keep blanks, nothing is expanded. `None` when a quote does not end.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (end, Some(open)) if end == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().push(characters.next()?),
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (blank, None) if blank.is_whitespace() => words.extend(word.take()),
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_words_and_no_shell() {
        for (line, expected) in [
            ("/bin/x", Some(vec!["/bin/x"])),
            (
                "x  --a 'b c' \"d \\\"e\" f\\ g ''",
                Some(vec!["x", "--a", "b c", "d \"e", "f g", ""]),
            ),
            (
                "x $HOME; `y` | z",
                Some(vec!["x", "$HOME;", "`y`", "|", "z"]),
            ),
            ("x 'a", None),
            ("x \\", None),
        ] {
            let expected = expected.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn credentials_of_others_are_none_of_its_business() {
        for (name, others) in [
            ("DOCKER_AUTH_CONFIG", true),
            ("KANIKO_A_TEST_PASSWORD", true),
            ("KANIKO_DIR", false),
            ("AWS_CA_BUNDLE", false),
            ("VAULT_ADDR", false),
            ("PATH", false),
        ] {
            assert_eq!(is_others(name), others, "{name}");
        }
    }
}
