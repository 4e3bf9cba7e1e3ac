//! `--secret` and `--ssh`: which names RUN may mount, and where their contents are. Nothing is read here, and no message repeats
//! more of a value than the id and the key: what somebody typed in the wrong place may be the secret itself.

use std::path::PathBuf;

use kigumi_dockerfile::csv;

use super::config::Environment;

/// One `--secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFlag {
    /// What `id=` of a mount names.
    pub id: String,
    /// Where its content is.
    pub source: SecretSource,
}

/// Where the content of a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In a variable of the executor's environment, which is set.
    Environment(String),
}

/// One `--ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshFlag {
    /// What `id=` of a mount names.
    pub id: String,
    /// The socket of an agent, or files with private keys; never empty.
    pub paths: Vec<PathBuf>,
}

/// What is wrong with one of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFlagError {
    /// No record of fields.
    #[error(
        "--secret number {number}: {reason}; expected id=ID[,src=FILE|,env=VARIABLE][,type=file|env]"
    )]
    Malformed {
        /// Which one, from 1.
        number: usize,
        /// Why.
        reason: &'static str,
    },
    /// A key that there is none of.
    #[error("--secret number {number} has no key `{key}`: there are id, src, env and type")]
    Key {
        /// Which one, from 1.
        number: usize,
        /// As given.
        key: String,
    },
    /// Neither file nor env.
    #[error("--secret `{id}`: type is neither file nor env")]
    Type {
        /// Of the secret.
        id: String,
    },
    /// Two sources.
    #[error("--secret `{id}` names both a file and a variable: which one has it?")]
    TwoSources {
        /// Of the secret.
        id: String,
    },
    /// A variable that is not there.
    #[error("--secret `{id}`: the variable `{variable}` is not set in the executor's environment")]
    Unset {
        /// Of the secret.
        id: String,
        /// Which.
        variable: String,
    },
    /// No socket to forward.
    #[error(
        "--ssh `{id}`: SSH_AUTH_SOCK is not set in the executor's environment; name a socket or key files: --ssh {id}=PATH"
    )]
    NoAgent {
        /// Of the agent.
        id: String,
    },
    /// An empty path.
    #[error("--ssh `{id}` has an empty path; expected default|ID[=SOCKET|KEY[,KEY]]")]
    EmptyPath {
        /// Of the agent.
        id: String,
    },
}

/// The fields of one `--secret`, as far as they were given.
#[derive(Default)]
struct Fields {
    id: String,
    file: String,
    variable: String,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Environment,
    Unknown,
}

pub(super) fn secrets(
    texts: &[String],
    environment: &Environment,
) -> Result<Vec<SecretFlag>, SecretFlagError> {
    let numbered = texts.iter().zip(1..);
    numbered
        .map(|(text, number)| fields(text, number)?.into_flag(environment))
        .collect()
}

fn fields(text: &str, number: usize) -> Result<Fields, SecretFlagError> {
    let malformed = |reason| SecretFlagError::Malformed { number, reason };
    let mut fields = Fields::default();
    for field in csv::fields(text).map_err(malformed)? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| malformed("a field has no `=`"))?;
        match key.to_ascii_lowercase().as_str() {
            "id" => value.clone_into(&mut fields.id),
            "src" | "source" => value.clone_into(&mut fields.file),
            "env" => value.clone_into(&mut fields.variable),
            "type" => {
                fields.kind = Some(match value {
                    "file" => Kind::File,
                    "env" => Kind::Environment,
                    _ => Kind::Unknown,
                });
            }
            key => {
                return Err(SecretFlagError::Key {
                    number,
                    key: key.to_owned(),
                });
            }
        }
    }
    if fields.id.is_empty() {
        return Err(malformed("it has no id"));
    }
    Ok(fields)
}

impl Fields {
    /// COMPAT(buildkit): without a source the variable of that name, else the file of that name; with `type=env`, `src` is a variable.
    fn into_flag(mut self, environment: &Environment) -> Result<SecretFlag, SecretFlagError> {
        let id = self.id;
        if self.kind == Some(Kind::Unknown) {
            return Err(SecretFlagError::Type { id });
        }
        if self.kind == Some(Kind::Environment) && self.variable.is_empty() {
            self.variable = std::mem::take(&mut self.file);
            if self.variable.is_empty() {
                self.variable.clone_from(&id);
            }
        }
        let is_set = |name: &str| environment.variables.contains_key(name);
        let file = |path: &str| SecretSource::File(environment.working_directory.join(path));
        let named_file = !self.file.is_empty() || self.kind == Some(Kind::File);
        let source = match (named_file, self.variable.as_str()) {
            (true, "") if self.file.is_empty() => file(&id),
            (true, "") => file(&self.file),
            (true, _) => return Err(SecretFlagError::TwoSources { id }),
            (false, "") if is_set(&id) => SecretSource::Environment(id.clone()),
            (false, "") => file(&id),
            (false, variable) if is_set(variable) => SecretSource::Environment(variable.to_owned()),
            (false, variable) => {
                let variable = variable.to_owned();
                return Err(SecretFlagError::Unset { id, variable });
            }
        };
        Ok(SecretFlag { id, source })
    }
}

pub(super) fn ssh(
    texts: &[String],
    environment: &Environment,
) -> Result<Vec<SshFlag>, SecretFlagError> {
    texts.iter().map(|text| agent(text, environment)).collect()
}

fn agent(text: &str, environment: &Environment) -> Result<SshFlag, SecretFlagError> {
    let (id, paths) = text
        .split_once('=')
        .map_or((text, None), |(id, paths)| (id, Some(paths)));
    let id = if id.is_empty() { "default" } else { id }.to_owned();
    let absolute = |path: &str| environment.working_directory.join(path);
    let paths = match paths {
        Some(paths) => paths.split(',').map(str::to_owned).collect(),
        None => match environment.variables.get("SSH_AUTH_SOCK") {
            Some(socket) if !socket.is_empty() => vec![socket.clone()],
            _ => return Err(SecretFlagError::NoAgent { id }),
        },
    };
    if paths.iter().any(String::is_empty) {
        return Err(SecretFlagError::EmptyPath { id });
    }
    let paths = paths.iter().map(|path| absolute(path)).collect();
    Ok(SshFlag { id, paths })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            variables: [("TOKEN", "t"), ("EMPTY", ""), ("SSH_AUTH_SOCK", "/agent")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            working_directory: "/w".into(),
            ..Environment::default()
        }
    }

    fn secret(text: &str) -> Result<(String, SecretSource), String> {
        let mut flags =
            secrets(&[text.to_owned()], &environment()).map_err(|error| error.to_string())?;
        let flag = flags.pop().unwrap();
        Ok((flag.id, flag.source))
    }

    #[test]
    fn a_secret_is_a_file_or_a_variable_as_buildx_has_it() {
        let file = |path: &str| SecretSource::File(path.into());
        let variable = |name: &str| SecretSource::Environment(name.to_owned());
        for (text, id, source) in [
            ("id=a,src=f", "a", file("/w/f")),
            ("id=a,source=/f", "a", file("/f")),
            ("ID=a,SRC=/f", "a", file("/f")),
            ("src=/f,id=a,type=file", "a", file("/f")),
            ("id=a", "a", file("/w/a")),
            ("id=TOKEN", "TOKEN", variable("TOKEN")),
            ("id=TOKEN,type=file", "TOKEN", file("/w/TOKEN")),
            ("id=a,env=TOKEN", "a", variable("TOKEN")),
            ("id=a,env=EMPTY", "a", variable("EMPTY")),
            ("id=a,type=env,src=TOKEN", "a", variable("TOKEN")),
            ("id=TOKEN,type=env", "TOKEN", variable("TOKEN")),
            ("id=a,\"src=/f,g\"", "a", file("/f,g")),
            ("id=a,src=/x=y", "a", file("/x=y")),
            ("id=a,id=b,src=/f", "b", file("/f")),
        ] {
            assert_eq!(secret(text), Ok((id.to_owned(), source)), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_never_repeated() {
        for (text, expected) in [
            ("hunter2", "a field has no `=`"),
            ("", "is empty"),
            ("src=hunter2", "it has no id"),
            ("id=a,value=hunter2", "no key `value`"),
            ("id=a,type=hunter2", "--secret `a`: type"),
            ("id=a,src=hunter2,env=TOKEN", "--secret `a` names both"),
            ("id=a,type=file,env=TOKEN", "--secret `a` names both"),
            ("id=a,env=NONE", "`NONE` is not set"),
            ("id=a,type=env", "`a` is not set"),
            ("id=a,\"src=hunter2", "no end"),
        ] {
            let message = secret(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(!message.contains("hunter2"), "{text}: {message}");
        }
    }

    #[test]
    fn an_agent_is_a_socket_or_key_files_as_buildx_has_it() {
        for (text, id, paths) in [
            ("default", "default", &["/agent"][..]),
            ("", "default", &["/agent"]),
            ("git", "git", &["/agent"]),
            ("git=s", "git", &["/w/s"]),
            ("=/k", "default", &["/k"]),
            ("git=/k,l", "git", &["/k", "/w/l"]),
        ] {
            let found = agent(text, &environment()).unwrap();
            let paths = paths.iter().map(PathBuf::from).collect();
            let id = id.to_owned();
            assert_eq!(found, SshFlag { id, paths }, "{text}");
        }
        let without = Environment::default();
        for (text, expected) in [
            ("default", "SSH_AUTH_SOCK is not set"),
            ("git=", "empty path"),
            ("git=/k,", "empty path"),
        ] {
            let message = agent(text, &without).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
