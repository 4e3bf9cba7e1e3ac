use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Error, Http, Provider};
use crate::Secret;

/// No configuration or token is larger.
const LONGEST: u64 = 1024 * 1024;

/// What identity is found from: the pod's variables and the files they name. Cheap to clone.
#[derive(Clone)]
pub struct Surroundings {
    variables: Arc<BTreeMap<String, String>>,
    http: Http,
    hide: Arc<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings(…)")
    }
}

impl Surroundings {
    /// `hide` is told every secret that is learnt, before anything else is done with it.
    pub fn new(
        variables: BTreeMap<String, String>,
        http: Http,
        hide: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            variables: Arc::new(variables),
            http,
            hide: Arc::new(hide),
        }
    }

    /// A variable that is set to something.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// All of them, as a program that is started gets them.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&String, &String)> {
        self.variables.iter()
    }

    /// Whether a variable says yes.
    pub(crate) fn says_yes(&self, name: &str) -> bool {
        self.variable(name)
            .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "t" | "true"))
    }

    /// A file below the home directory.
    pub(crate) fn at_home(&self, path: &str) -> Option<PathBuf> {
        Some(Path::new(self.variable("HOME")?).join(path))
    }

    /// HTTP as the pod has it.
    pub const fn http(&self) -> &Http {
        &self.http
    }

    /// A secret, from now on in no log.
    pub(crate) fn secret(&self, value: impl Into<String>) -> Secret<String> {
        let value = value.into();
        (self.hide)(&value);
        Secret::new(value)
    }
}

/// A token that somebody renews in a file, such as a projected service account token.
#[derive(Clone)]
pub(crate) struct TokenFile {
    path: PathBuf,
    named_by: &'static str,
    /// What it held at the start: a RUN may take the file away.
    first: Result<Secret<String>, Error>,
    provider: Provider,
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenFile({})", self.path.display())
    }
}

impl TokenFile {
    pub(crate) fn new(
        surroundings: &Surroundings,
        provider: Provider,
        path: &Path,
        named_by: &'static str,
    ) -> Self {
        let first = read(path)
            .map(|text| surroundings.secret(text.trim()))
            .map_err(|source| failure(provider, path, named_by, source));
        Self {
            path: path.to_owned(),
            named_by,
            first,
            provider,
        }
    }

    /// What it holds now; what it held at the start when it is gone or empty.
    pub(crate) fn token(&self, surroundings: &Surroundings) -> Result<Secret<String>, Error> {
        match read(&self.path) {
            Ok(text) if !text.trim().is_empty() => Ok(surroundings.secret(text.trim())),
            Ok(_) => self.first(),
            Err(source) => self
                .first()
                .map_err(|_same| failure(self.provider, &self.path, self.named_by, source)),
        }
    }

    fn first(&self) -> Result<Secret<String>, Error> {
        let first = self.first.clone()?;
        if first.expose().is_empty() {
            return Err(Error::configuration(
                self.provider,
                format!("the token file `{}` is empty", self.path.display()),
                format!("{} must name a file with a token", self.named_by),
            ));
        }
        Ok(first)
    }
}

fn failure(provider: Provider, path: &Path, named_by: &str, source: io::Error) -> Error {
    Error::Read {
        provider,
        path: path.to_owned(),
        named_by: named_by.to_owned(),
        source: Arc::new(source),
    }
}

/// A file of a configuration, read at the start.
pub(crate) fn read_named(provider: Provider, path: &Path, named_by: &str) -> Result<String, Error> {
    read(path).map_err(|source| failure(provider, path, named_by, source))
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    // A FIFO would be waited for.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(LONGEST)
        .read_to_string(&mut text)?;
    Ok(text)
}
