//! Where credentials come from.

mod docker_config;
mod helper;
mod hosts;
mod native;
mod variables;

use std::fmt;
use std::time::SystemTime;

pub use docker_config::{DockerConfig, config_key};
pub use helper::Helpers;
pub use native::{NativeProvider, Natives};
pub use variables::{GitLabVariables, KanikoVariables};

use crate::{Error, Repository, Secret};

/// What convinces a registry or its token server.
#[derive(Clone)]
pub enum Credential {
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret<String>,
    },
    /// A refresh token, exchanged for access tokens (`identitytoken`).
    IdentityToken(Secret<String>),
    /// A token that the registry takes as it is (`registrytoken`).
    RegistryToken(Secret<String>),
}

impl Credential {
    /// What nobody else may see of it.
    pub const fn secret(&self) -> &Secret<String> {
        match self {
            Self::Basic { password, .. } => password,
            Self::IdentityToken(token) | Self::RegistryToken(token) => token,
        }
    }
}

/// A credential and where it was found.
#[derive(Clone, Debug)]
pub struct Sourced {
    /// The credential.
    pub credential: Credential,
    /// For people: ``the entry `ghcr.io` of /kaniko/.docker/config.json``.
    pub source: String,
    /// When it ends, if it does.
    pub until: Option<SystemTime>,
}

/// What one place says of a repository.
#[derive(Debug)]
pub struct Turn {
    /// Where it was looked, for people.
    pub place: String,
    /// What was found, best first.
    pub outcome: Result<Vec<Sourced>, Error>,
}

/// Something that knows credentials. May run programs and speak to services, hence blocks: it is asked on a thread that may.
pub trait Keychain: Send + Sync + fmt::Debug {
    /// The credentials for `repository`, best first; the next one is tried when a registry refuses one (T-AUTH-04).
    ///
    /// # Errors
    /// When a credential is there and cannot be read.
    fn credentials(&self, repository: &Repository) -> Result<Vec<Sourced>, Error>;

    /// What this is, for people.
    fn place(&self) -> String {
        "a keychain".to_owned()
    }

    /// Whether it could know anything of `repository` at all.
    fn serves(&self, repository: &Repository) -> bool {
        let _ = repository;
        true
    }

    /// What the `turn`-th place says; `None` behind the last one. A place is asked when those before it know nothing that the registry takes: no
    /// metadata service is waited for while a file has the answer.
    fn turn(&self, turn: usize, repository: &Repository) -> Option<Turn> {
        (turn == 0).then(|| Turn {
            place: self.place(),
            outcome: self.credentials(repository),
        })
    }
}

/// No credentials at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anonymous;

impl Keychain for Anonymous {
    fn credentials(&self, _: &Repository) -> Result<Vec<Sourced>, Error> {
        Ok(Vec::new())
    }

    fn turn(&self, _: usize, _: &Repository) -> Option<Turn> {
        None
    }
}

/// Several keychains, asked in order.
#[derive(Debug, Default)]
pub struct Keychains(Vec<Box<dyn Keychain>>);

impl Keychains {
    /// The given keychains, best first: `DOCKER_AUTH_CONFIG` before the file (T-AUTH-03).
    pub fn new(keychains: Vec<Box<dyn Keychain>>) -> Self {
        Self(keychains)
    }
}

impl Keychain for Keychains {
    fn credentials(&self, repository: &Repository) -> Result<Vec<Sourced>, Error> {
        let mut all = Vec::new();
        for keychain in &self.0 {
            all.extend(keychain.credentials(repository)?);
        }
        Ok(all)
    }

    fn turn(&self, turn: usize, repository: &Repository) -> Option<Turn> {
        let mut able = self.0.iter().filter(|keychain| keychain.serves(repository));
        let keychain = able.nth(turn)?;
        Some(Turn {
            place: keychain.place(),
            outcome: keychain.credentials(repository),
        })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(…)",
            Self::IdentityToken(_) => "IdentityToken(…)",
            Self::RegistryToken(_) => "RegistryToken(…)",
        })
    }
}
