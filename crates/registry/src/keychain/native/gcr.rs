//! Google's registries take any access token as the password of `oauth2accesstoken`.

use crate::cloud::google::{CLOUD_PLATFORM, Google};
use crate::cloud::{Error, Provider};
use crate::keychain::{Credential, Sourced};

#[derive(Debug)]
pub(super) struct Gcr(Google);

impl Gcr {
    pub(super) const fn new(google: Google) -> Self {
        Self(google)
    }

    pub(super) async fn get(&self) -> Result<Option<Sourced>, Error> {
        let Some(token) = self.0.access_token(CLOUD_PLATFORM).await? else {
            return Err(Error::NoIdentity {
                provider: Provider::Google,
                tried: "GOOGLE_APPLICATION_CREDENTIALS, the file of gcloud and the metadata service",
                fix: "bind the pod's service account with Workload Identity, or mount a key and name it with GOOGLE_APPLICATION_CREDENTIALS",
            });
        };
        Ok(Some(Sourced {
            credential: Credential::Basic {
                username: "oauth2accesstoken".to_owned(),
                password: token.token,
            },
            source: format!("Google Cloud, as {}", token.source),
            until: Some(token.expires),
        }))
    }
}
