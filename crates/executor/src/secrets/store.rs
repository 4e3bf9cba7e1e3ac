use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Redactor;
use crate::cli::{Environment, SecretFlag, SecretSource};

/// Longest secret in bytes. COMPAT(buildkit): its secrets provider has this limit.
const LONGEST: usize = 500 * 1024;

/// The bytes of a secret. They are wiped when it is dropped, and neither `Debug` nor `Display` shows them.
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Hides `value`.
    pub fn new(value: Vec<u8>) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The bytes, for whoever hands them on.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(***)")
    }
}

/// What `--secret` gives, by id: RUN mounts them, and ADD finds its credentials among them under `HTTP_AUTH_HEADER_<host>`,
/// `HTTP_AUTH_TOKEN_<host>`, `GIT_AUTH_HEADER.<host>`, `GIT_AUTH_TOKEN.<host>`, `GIT_AUTH_HEADER` and `GIT_AUTH_TOKEN`.
#[derive(Debug, Default)]
pub struct Secrets(BTreeMap<String, SecretValue>);

/// A secret that cannot be had. It names the secret, and never its content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("--secret `{id}`: read `{}`", .path.display())]
    Read {
        /// Of the secret.
        id: String,
        /// Where it should be.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// Too long.
    #[error("--secret `{id}` is longer than {LONGEST} bytes, which is the most a secret may have")]
    TooLong {
        /// Of the secret.
        id: String,
    },
    /// The variable is gone.
    #[error("--secret `{id}`: the variable `{variable}` is not set in the executor's environment")]
    Unset {
        /// Of the secret.
        id: String,
        /// Which.
        variable: String,
    },
}

impl Secrets {
    /// Reads all of them, and has `redactor` hide them from now on. What happens to a file later does not matter (T-MNT-08).
    ///
    /// # Errors
    /// [`SecretError`] for the first that cannot be had.
    pub fn load(
        flags: &[SecretFlag],
        environment: &Environment,
        redactor: &Redactor,
    ) -> Result<Self, SecretError> {
        let mut secrets = Self::default();
        for flag in flags {
            let value = load(flag, environment)?;
            redactor.hide(value.expose());
            secrets.0.insert(flag.id.clone(), value);
        }
        Ok(secrets)
    }

    /// The secret of this id.
    pub fn get(&self, id: &str) -> Option<&SecretValue> {
        self.0.get(id)
    }

    /// Those too short to be told from ordinary text: the log shows them.
    pub fn too_short_to_hide(&self) -> impl Iterator<Item = &str> {
        let short = |value: &SecretValue| {
            let length = value.expose().trim_ascii().len();
            length > 0 && length < Redactor::SHORTEST
        };
        self.0
            .iter()
            .filter(move |(_, value)| short(value))
            .map(|(id, _)| id.as_str())
    }
}

fn load(flag: &SecretFlag, environment: &Environment) -> Result<SecretValue, SecretError> {
    let id = || flag.id.clone();
    let value = match &flag.source {
        SecretSource::File(path) => {
            SecretValue(read(path).map_err(|source| SecretError::Read {
                id: id(),
                path: path.clone(),
                source,
            })?)
        }
        SecretSource::Environment(variable) => {
            let value = environment.variables.get(variable).cloned();
            let value = value.ok_or_else(|| SecretError::Unset {
                id: id(),
                variable: variable.clone(),
            })?;
            SecretValue::new(value.into_bytes())
        }
    };
    if value.0.len() > LONGEST {
        return Err(SecretError::TooLong { id: id() });
    }
    Ok(value)
}

/// At most one byte more than a secret may have. The room is made before: a vector that grows leaves copies behind.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let most = LONGEST + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    let file = File::open(path)?;
    file.take(u64::try_from(most).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)?;
    let exact = Zeroizing::new(bytes.to_vec());
    Ok(exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(id: &str, source: SecretSource) -> SecretFlag {
        let id = id.to_owned();
        SecretFlag { id, source }
    }

    fn load_one(source: SecretSource) -> Result<Vec<u8>, SecretError> {
        let environment = Environment {
            variables: [("TOKEN".to_owned(), "hunter22".to_owned())].into(),
            ..Environment::default()
        };
        let secrets = Secrets::load(&[flag("a", source)], &environment, &Redactor::default())?;
        Ok(secrets.get("a").unwrap().expose().to_vec())
    }

    #[test]
    fn a_secret_is_the_bytes_of_its_file_or_variable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        for content in [&b"text\n"[..], b"\0\xff", b"", &vec![7; LONGEST]] {
            std::fs::write(&path, content).unwrap();
            let found = load_one(SecretSource::File(path.clone())).unwrap();
            assert!(found == content, "{} bytes", content.len());
        }
        let found = load_one(SecretSource::Environment("TOKEN".into())).unwrap();
        assert_eq!(found, b"hunter22");
    }

    #[test]
    fn what_cannot_be_had_is_named_by_its_id() {
        let directory = tempfile::tempdir().unwrap();
        let long = directory.path().join("long");
        std::fs::write(&long, vec![b'x'; LONGEST + 1]).unwrap();
        for (source, expected) in [
            (
                SecretSource::File(directory.path().join("none")),
                "`a`: read `",
            ),
            (
                SecretSource::File(directory.path().to_owned()),
                "`a`: read `",
            ),
            (SecretSource::File(long), "`a` is longer than 512000 bytes"),
            (
                SecretSource::Environment("NONE".into()),
                "`NONE` is not set",
            ),
        ] {
            let message = load_one(source).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn debug_output_shows_no_value() {
        let flags = [flag("a", SecretSource::Environment("TOKEN".into()))];
        let environment = Environment {
            variables: [("TOKEN".to_owned(), "hunter22".to_owned())].into(),
            ..Environment::default()
        };
        let secrets = Secrets::load(&flags, &environment, &Redactor::default()).unwrap();
        let shown = format!("{secrets:?}");
        assert!(
            shown.contains('a') && !shown.contains("hunter22"),
            "{shown}"
        );
    }

    #[test]
    fn a_loaded_secret_is_hidden_from_then_on_t_mnt_10() {
        let redactor = Redactor::default();
        let flags = [flag("a", SecretSource::Environment("TOKEN".into()))];
        let environment = Environment {
            variables: [("TOKEN".to_owned(), "hunter22".to_owned())].into(),
            ..Environment::default()
        };
        let secrets = Secrets::load(&flags, &environment, &redactor).unwrap();
        assert_eq!(redactor.redact("is hunter22!"), "is ***!");
        assert_eq!(secrets.too_short_to_hide().count(), 0);
    }
}
