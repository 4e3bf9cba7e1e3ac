//! Registries of clouds, without their credential helpers.

mod acr;
mod ecr;
mod gcr;

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::{Keychain, Sourced, hosts};
use crate::cloud::{self, Surroundings, aws::Aws, azure::Azure, google::Google};
use crate::{Error, Registry, Repository};
use acr::Acr;
use ecr::Ecr;
use gcr::Gcr;

/// A provider of credentials that is built in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NativeProvider {
    /// Amazon's Elastic Container Registry, private and public.
    Ecr,
    /// Google's Artifact Registry and Container Registry.
    Google,
    /// Azure Container Registry.
    Acr,
}

impl NativeProvider {
    /// The provider that stands in for `docker-credential-<name>` (K-AUTH-02).
    pub fn of_helper(name: &str) -> Option<Self> {
        match name {
            "ecr-login" => Some(Self::Ecr),
            "gcr" | "gcloud" => Some(Self::Google),
            "acr-env" | "acr" => Some(Self::Acr),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ecr => "ECR",
            Self::Google => "Google",
            Self::Acr => "ACR",
        }
    }

    fn serves(self, registry: &Registry) -> bool {
        match self {
            Self::Ecr => hosts::ecr(registry).is_some(),
            Self::Google => hosts::is_google(registry),
            Self::Acr => hosts::acr(registry).is_some(),
        }
    }
}

/// The providers that are built in, with this pod's identities. Cheap to clone; all clones share what was fetched.
#[derive(Clone, Debug)]
pub struct Natives(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ecr: Ecr,
    gcr: Gcr,
    acr: Acr,
}

impl Natives {
    /// Reads the variables and the files they name; asks nobody yet.
    pub fn new(surroundings: &Surroundings) -> Self {
        Self(Arc::new(Inner {
            ecr: Ecr::new(Aws::new(surroundings)),
            gcr: Gcr::new(Google::new(surroundings)),
            acr: Acr::new(Azure::new(surroundings)),
        }))
    }

    /// One of them as a keychain.
    pub fn keychain(&self, provider: NativeProvider) -> impl Keychain + use<> {
        NativeKeychain {
            natives: self.clone(),
            provider,
        }
    }

    /// The credential for a registry; none when it is not one of the provider's, by its whole name.
    pub(super) fn get(
        &self,
        provider: NativeProvider,
        registry: &Registry,
    ) -> Result<Option<Sourced>, Error> {
        if !provider.serves(registry) {
            return Ok(None);
        }
        let inner = &*self.0;
        let found = match provider {
            NativeProvider::Ecr => wait(inner.ecr.get(registry)),
            NativeProvider::Google => wait(inner.gcr.get()),
            NativeProvider::Acr => wait(inner.acr.get(registry)),
        };
        found.map_err(|source| Error::Identity {
            registry: registry.to_string(),
            source: Box::new(source),
        })
    }
}

/// On a thread that may block, as a keychain's are.
fn wait<T>(
    asking: impl Future<Output = Result<Option<T>, cloud::Error>>,
) -> Result<Option<T>, cloud::Error> {
    match Handle::try_current() {
        Ok(runtime) => runtime.block_on(asking),
        // Only a keychain that is used without a client is without a runtime.
        Err(_) => Ok(None),
    }
}

#[derive(Debug)]
struct NativeKeychain {
    natives: Natives,
    provider: NativeProvider,
}

impl Keychain for NativeKeychain {
    fn credentials(&self, repository: &Repository) -> Result<Vec<Sourced>, Error> {
        let found = self.natives.get(self.provider, repository.registry())?;
        Ok(found.into_iter().collect())
    }

    fn place(&self) -> String {
        self.provider.name().to_owned()
    }

    fn serves(&self, repository: &Repository) -> bool {
        self.provider.serves(repository.registry())
    }
}
