//! Where credentials come from.

mod docker_config;
mod helper;

use std::fmt;

pub use docker_config::DockerConfig;
pub use helper::Helpers;

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
}

/// Something that knows credentials. May run programs, hence may block.
pub trait Keychain: Send + Sync + fmt::Debug {
    /// The credentials for `repository`, best first; the next one is tried when a registry refuses one (T-AUTH-04).
    ///
    /// # Errors
    /// When a credential is there and cannot be read.
    fn credentials(&self, repository: &Repository) -> Result<Vec<Sourced>, Error>;
}

/// No credentials at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anonymous;

impl Keychain for Anonymous {
    fn credentials(&self, _: &Repository) -> Result<Vec<Sourced>, Error> {
        Ok(Vec::new())
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
