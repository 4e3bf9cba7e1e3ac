//! Google Cloud: access tokens for this pod, in the order of the Application Default Credentials: a file, then the metadata service.

mod external;
mod file;
mod impersonation;
mod metadata;
mod service_account;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::cache::{Cache, Leased};
use super::{Error, Surroundings};
use crate::Secret;
use file::CredentialFile;
use metadata::Metadata;

/// Everything that the identity may do: what Google's registries ask for.
pub const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// An access token.
#[derive(Clone)]
pub struct AccessToken {
    /// What goes behind `Bearer`.
    pub token: Secret<String>,
    /// When it ends.
    pub expires: SystemTime,
    /// Where it is from, for people.
    pub source: String,
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccessToken({})", self.source)
    }
}

/// This pod's identity at Google Cloud. Cheap to clone; all clones share what was fetched.
#[derive(Clone, Debug)]
pub struct Google(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    surroundings: Surroundings,
    file: Result<Option<CredentialFile>, Error>,
    metadata: Result<Metadata, Error>,
    cache: Cache<String, AccessToken>,
}

/// RFC 6749 § 5.1, and what the metadata service says.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

impl Google {
    /// Reads the variables and the files they name.
    pub fn new(surroundings: &Surroundings) -> Self {
        Self(Arc::new(Inner {
            file: CredentialFile::find(surroundings),
            metadata: Metadata::new(surroundings),
            cache: Cache::default(),
            surroundings: surroundings.clone(),
        }))
    }

    /// A token for `scope`, renewed before it ends; `None` when this pod has no identity at Google Cloud.
    ///
    /// # Errors
    /// [`Error`] when it is said where the identity is, and it gives no token.
    pub async fn access_token(&self, scope: &str) -> Result<Option<AccessToken>, Error> {
        let found = self
            .0
            .cache
            .get(scope.to_owned(), self.fetch(scope))
            .await?;
        Ok(found.map(|lease| lease.value))
    }

    async fn fetch(&self, scope: &str) -> Result<Option<Leased<AccessToken>>, Error> {
        let surroundings = &self.0.surroundings;
        let token = if let Some(file) = self.0.file.as_ref().map_err(Clone::clone)? {
            Some(file.token(surroundings, scope).await?)
        } else {
            let metadata = self.0.metadata.as_ref().map_err(Clone::clone)?;
            metadata.token(surroundings, scope).await?
        };
        Ok(token.map(|token| Leased {
            until: Some(token.expires),
            value: token,
        }))
    }
}

impl TokenAnswer {
    fn read(self, surroundings: &Surroundings, source: String) -> AccessToken {
        AccessToken {
            token: surroundings.secret(self.access_token),
            expires: SystemTime::now()
                + Duration::from_secs(self.expires_in.unwrap_or_default().min(86_400)),
            source,
        }
    }
}
