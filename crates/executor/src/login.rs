//! `executor login`: a user and password into a `config.json`, or into the credential store that it names.

use std::fs::{DirBuilder, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kigumi_registry::keychain::{Helpers, config_key};
use kigumi_registry::{Registry, Secret};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::cli::{Environment, LoginCommand};
use crate::credentials;
use crate::secrets::Redactor;

/// No password is longer.
const LONGEST: u64 = 1024 * 1024;

/// Why `executor login` kept nothing. No value is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The argument.
    #[error("`{text}` is no registry: expected HOST[:PORT]")]
    Registry {
        /// As given.
        text: String,
    },
    /// The user.
    #[error("--username must be there, without a colon")]
    Username,
    /// The password.
    #[error("the password is empty")]
    NoPassword,
    /// Standard input.
    #[error("read the password from standard input")]
    Stdin(#[source] io::Error),
    /// Nowhere to put it.
    #[error("neither DOCKER_CONFIG nor HOME is set: there is no place for a config.json")]
    NoPlace,
    /// The file is something else.
    #[error("`{}` is not a Docker config.json; it is left as it is", .path.display())]
    NotAConfig {
        /// Which.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{operation} `{}`", .path.display())]
    File {
        /// What was to be done.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The credential store.
    #[error("keep the password")]
    Store(#[source] kigumi_registry::Error),
}

/// Keeps the password and says where.
pub(crate) fn run(
    command: &LoginCommand,
    environment: &Environment,
    stdin: impl Read,
    redactor: &Redactor,
) -> Result<PathBuf, LoginError> {
    let registry = registry(&command.registry)?;
    if command.username.is_empty() || command.username.contains(':') {
        return Err(LoginError::Username);
    }
    let password = match &command.password {
        Some(password) => Zeroizing::new(password.clone()),
        None => password(stdin)?,
    };
    if password.is_empty() {
        return Err(LoginError::NoPassword);
    }
    redactor.hide(password.as_bytes());
    let path = place(environment)?;
    let mut config = read(&path)?;
    if let Some(helper) = store(&config, &registry) {
        let helpers = Helpers::new(credentials::program_path(environment));
        let secret = Secret::new(password.to_string());
        let origin = path.display().to_string();
        helpers
            .store(&origin, &helper, &registry, (&command.username, &secret))
            .map_err(LoginError::Store)?;
        return Ok(path);
    }
    let plain = Zeroizing::new(format!("{}:{}", command.username, *password));
    let auth = BASE64_STANDARD.encode(plain.as_bytes());
    redactor.hide(auth.as_bytes());
    let auths = config
        .entry("auths")
        .or_insert_with(|| Value::Object(Map::new()));
    let auths = auths
        .as_object_mut()
        .ok_or_else(|| LoginError::NotAConfig { path: path.clone() })?;
    auths.insert(
        config_key(&registry).to_owned(),
        serde_json::json!({ "auth": auth }),
    );
    write(&path, &config)?;
    Ok(path)
}

/// Docker's own spelling of Docker Hub is taken too.
fn registry(text: &str) -> Result<Registry, LoginError> {
    let bare = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text);
    let bare = bare.trim_end_matches('/');
    let bare = bare
        .strip_suffix("/v1")
        .or_else(|| bare.strip_suffix("/v2"))
        .unwrap_or(bare);
    let is_authority = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if bare.is_empty() || !bare.bytes().all(is_authority) {
        return Err(LoginError::Registry {
            text: text.to_owned(),
        });
    }
    Ok(Registry::new(bare))
}

/// Without one line break at the end, as `docker login` has it.
fn password(stdin: impl Read) -> Result<Zeroizing<String>, LoginError> {
    let mut text = Zeroizing::new(String::new());
    stdin
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(LoginError::Stdin)?;
    let bare = text.strip_suffix('\n').unwrap_or(&text);
    let bare = bare.strip_suffix('\r').unwrap_or(bare);
    Ok(Zeroizing::new(bare.to_owned()))
}

fn place(environment: &Environment) -> Result<PathBuf, LoginError> {
    let variable = |name: &str| {
        let value = environment.variables.get(name);
        value.filter(|value| !value.is_empty())
    };
    let directory = variable("DOCKER_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| Some(Path::new(variable("HOME")?).join(".docker")));
    let directory = directory.ok_or(LoginError::NoPlace)?;
    let path = environment
        .working_directory
        .join(directory)
        .join("config.json");
    // What a link leads to is written, not the link.
    Ok(path.canonicalize().unwrap_or(path))
}

fn read(path: &Path) -> Result<Map<String, Value>, LoginError> {
    let text = match std::fs::read(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(source) => return Err(failure("read", path)(source)),
    };
    if text.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    // The parser's words are left out: they quote values.
    serde_json::from_slice(&text).map_err(|_quotes_values| LoginError::NotAConfig {
        path: path.to_owned(),
    })
}

/// The credential helper that keeps this registry's password.
fn store(config: &Map<String, Value>, registry: &Registry) -> Option<String> {
    let of_registry = || {
        config
            .get("credHelpers")?
            .get(config_key(registry))?
            .as_str()
    };
    let of_all = || config.get("credsStore")?.as_str();
    let name = of_registry().or_else(of_all)?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// A new file in place of the old one, which only its owner reads.
fn write(path: &Path, config: &Map<String, Value>) -> Result<(), LoginError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failure("make", directory))?;
    let text = serde_json::to_vec_pretty(config).map(Zeroizing::new);
    let text = text.map_err(|error| failure("write", path)(error.into()))?;
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(directory)?;
        file.write_all(&text)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(failure("write", path))
}

fn failure(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LoginError {
    let path = path.to_owned();
    move |source| LoginError::File {
        operation,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(registry: &str, username: &str, password: Option<&str>) -> LoginCommand {
        LoginCommand {
            registry: registry.to_owned(),
            username: username.to_owned(),
            password: password.map(str::to_owned),
            password_stdin: password.is_none(),
            ..LoginCommand::default()
        }
    }

    fn environment(directory: &Path) -> Environment {
        let directory = directory.display().to_string();
        let variables = [
            ("DOCKER_CONFIG".to_owned(), directory.clone()),
            ("PATH".to_owned(), directory),
        ];
        Environment {
            variables: variables.into(),
            ..Environment::default()
        }
    }

    fn log_in(
        directory: &Path,
        command: &LoginCommand,
        stdin: &str,
    ) -> Result<PathBuf, LoginError> {
        run(
            command,
            &environment(directory),
            stdin.as_bytes(),
            &Redactor::default(),
        )
    }

    fn config(directory: &Path) -> Value {
        let text = std::fs::read(directory.join("config.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// K-AUTH-01
    #[test]
    fn a_password_is_added_and_everything_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(
            &path,
            r#"{"auths":{"a.test":{"auth":"x"}},"HttpHeaders":{"z":"y","b":"c"}}"#,
        )
        .unwrap();
        log_in(
            directory.path(),
            &command("B.test:5000", "me", Some("p:w")),
            "",
        )
        .unwrap();
        log_in(
            directory.path(),
            &command("index.docker.io", "hub", None),
            "pw\n\n",
        )
        .unwrap();
        let encode = |text: &str| BASE64_STANDARD.encode(text);
        assert_eq!(
            config(directory.path()),
            serde_json::json!({
                "auths": {
                    "a.test": { "auth": "x" },
                    "b.test:5000": { "auth": encode("me:p:w") },
                    "https://index.docker.io/v1/": { "auth": encode("hub:pw\n") },
                },
                "HttpHeaders": { "z": "y", "b": "c" },
            })
        );
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn one_line_break_at_the_end_is_not_the_password_s() {
        for (given, expected) in [
            ("pw", "pw"),
            ("pw\n", "pw"),
            ("pw\r\n", "pw"),
            ("pw\n\n", "pw\n"),
            (" p ", " p "),
        ] {
            assert_eq!(*password(given.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_made_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("a/.docker");
        log_in(&below, &command("docker.io", "me", Some("x")), "").unwrap();
        assert_eq!(
            below.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn a_configured_store_gets_the_password_and_the_file_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("docker-credential-fake");
        kigumi_testkit::write_program(&program, "#!/bin/sh\n/bin/cat > \"$0.$1\"\n");
        for text in [
            r#"{"credsStore":"fake"}"#,
            r#"{"credHelpers":{"a.test":"fake"},"credsStore":"none"}"#,
        ] {
            std::fs::write(directory.path().join("config.json"), text).unwrap();
            log_in(
                directory.path(),
                &command("a.test", "me", Some("hunter2")),
                "",
            )
            .unwrap();
            let kept = directory.path().join("docker-credential-fake.store");
            assert!(std::fs::read_to_string(&kept).unwrap().contains("hunter2"));
            std::fs::remove_file(kept).unwrap();
            assert_eq!(
                config(directory.path()),
                serde_json::from_str::<Value>(text).unwrap()
            );
        }
        let error = log_in(
            directory.path(),
            &command("b.test", "me", Some("hunter2")),
            "",
        )
        .unwrap_err();
        let text = crate::error::chain(&error);
        assert!(
            text.contains("docker-credential-none") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_nothing_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        for (text, registry, username, password, expected) in [
            ("{}", "r.test/org", "me", "x", "no registry"),
            ("{}", "", "me", "x", "no registry"),
            ("{}", "me@r.test", "me", "x", "no registry"),
            ("{}", "r.test", "", "x", "--username"),
            ("{}", "r.test", "a:b", "x", "--username"),
            ("{}", "r.test", "me", "", "password is empty"),
            (
                "[\"hunter2\"]",
                "r.test",
                "me",
                "x",
                "not a Docker config.json",
            ),
            (
                "{\"auths\":7}",
                "r.test",
                "me",
                "x",
                "not a Docker config.json",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = log_in(
                directory.path(),
                &command(registry, username, Some(password)),
                "",
            );
            let message = error.unwrap_err().to_string();
            assert!(
                message.contains(expected) && !message.contains("hunter2"),
                "{message}"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
