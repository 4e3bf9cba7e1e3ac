//! The metadata service of GCE and GKE (Workload Identity).

use url::Url;

use super::{AccessToken, TokenAnswer};
use crate::cloud::http::Call;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str =
    "check the binding of the pod's Kubernetes service account to a Google service account";

/// Where the metadata service is.
#[derive(Debug)]
pub(super) struct Metadata {
    base: Url,
    /// Somebody says that there is one.
    certain: bool,
}

impl Metadata {
    /// `GCE_METADATA_HOST` (`host[:port]`), else the name that only Google's name servers know.
    pub(super) fn new(surroundings: &Surroundings) -> Result<Self, Error> {
        let given = surroundings.variable("GCE_METADATA_HOST");
        let host = given.unwrap_or("metadata.google.internal");
        // A host and nothing else: with a path or a user it is another URL.
        let url = Url::parse(&format!("http://{host}/")).ok();
        let url = url
            .filter(|url| url.path() == "/" && url.query().is_none() && url.username().is_empty());
        let base = url.ok_or_else(|| {
            Error::configuration(
                Provider::Google,
                "GCE_METADATA_HOST is not a host with an optional port",
                "correct or remove it",
            )
        })?;
        Ok(Self {
            base,
            certain: given.is_some(),
        })
    }

    /// `None` when nobody is there, or nobody with an identity.
    pub(super) async fn token(
        &self,
        surroundings: &Surroundings,
        scope: &str,
    ) -> Result<Option<AccessToken>, Error> {
        let mut url = self.base.clone();
        url.set_path("/computeMetadata/v1/instance/service-accounts/default/token");
        url.query_pairs_mut().append_pair("scopes", scope);
        let what = "get an access token from the metadata service";
        let call = Call::get(Provider::Google, what, url, FIX)
            .at_metadata()
            .header("metadata-flavor", "Google")?;
        let answer: Result<TokenAnswer, Error> = surroundings.http().json(&call).await;
        match answer {
            Ok(answer) => Ok(Some(
                answer.read(surroundings, "the metadata service".to_owned()),
            )),
            Err(error @ Error::NoAnswer { .. }) if !self.certain => {
                tracing::debug!(%error, "Google Cloud: there is no metadata service");
                Ok(None)
            }
            Err(error) if error.status() == Some(404) => {
                tracing::debug!(%error, "Google Cloud: the metadata service knows no identity for this pod");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
