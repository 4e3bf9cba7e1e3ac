//! A token of Microsoft Entra ID becomes a refresh token of the registry (`/oauth2/exchange`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use url::Url;

use crate::Registry;
use crate::cloud::azure::{Azure, Token};
use crate::cloud::cache::{Cache, Leased};
use crate::cloud::http::Call;
use crate::cloud::{Error, Provider};
use crate::keychain::{Credential, Sourced, hosts};

/// The audience of every registry, in every cloud.
const AUDIENCE: &str = "https://containerregistry.azure.net";
const FIX: &str = "give the identity the role AcrPull, or AcrPush to push, on this registry";
/// Of a refresh token that does not say when it ends; ACR's live three hours.
const LIFETIME: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub(super) struct Acr {
    azure: Azure,
    cache: Cache<Registry, (Credential, String)>,
}

#[derive(Deserialize)]
struct Answer {
    refresh_token: String,
}

#[derive(Deserialize)]
struct Claims {
    exp: u64,
}

impl Acr {
    pub(super) fn new(azure: Azure) -> Self {
        Self {
            azure,
            cache: Cache::default(),
        }
    }

    pub(super) async fn get(&self, registry: &Registry) -> Result<Option<Sourced>, Error> {
        let Some(cloud) = hosts::acr(registry) else {
            return Ok(None);
        };
        let ours = self.azure.cloud()?;
        if ours != cloud {
            return Err(Error::configuration(
                Provider::Azure,
                format!(
                    "the registry `{registry}` is in the cloud {cloud}, and this pod's identity in {ours}"
                ),
                format!("set AZURE_ENVIRONMENT={cloud} if the identity is there"),
            ));
        }
        let found = self
            .cache
            .get(registry.clone(), self.fetch(registry))
            .await?;
        Ok(found.map(|lease| Sourced {
            credential: lease.value.0,
            source: lease.value.1,
            until: lease.until,
        }))
    }

    async fn fetch(
        &self,
        registry: &Registry,
    ) -> Result<Option<Leased<(Credential, String)>>, Error> {
        let Some(token) = self.azure.token(AUDIENCE).await? else {
            return Err(Error::NoIdentity {
                provider: Provider::Azure,
                tried: "AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_SECRET and the managed identity",
                fix: "use workload identity (label the pod with azure.workload.identity/use), or assign a managed identity",
            });
        };
        let wrong = |_not_a_url| {
            Error::configuration(Provider::Azure, format!("`{registry}` is no host"), FIX)
        };
        let url = Url::parse(&format!("https://{registry}/oauth2/exchange")).map_err(wrong)?;
        let (refresh, until) = self.exchange(url, registry, &token).await?;
        let surroundings = self.azure.surroundings();
        Ok(Some(Leased {
            value: (
                Credential::IdentityToken(surroundings.secret(refresh)),
                format!("ACR, as {}", token.source),
            ),
            until: Some(until),
        }))
    }

    async fn exchange(
        &self,
        url: Url,
        registry: &Registry,
        token: &Token,
    ) -> Result<(String, SystemTime), Error> {
        let mut pairs = vec![
            ("grant_type", "access_token"),
            ("service", registry.host()),
            ("access_token", token.token.expose()),
        ];
        pairs.extend(self.azure.tenant().map(|tenant| ("tenant", tenant)));
        let what = format!("exchange the token of {} at the registry", token.source);
        let call = Call::form(Provider::Azure, &what, url, &pairs, FIX);
        let answer: Answer = self.azure.surroundings().http().json(&call).await?;
        let until = end(&answer.refresh_token);
        Ok((answer.refresh_token, until))
    }
}

/// When a JSON Web Token ends, as it says itself. It is only a hint when to renew: nobody is trusted for it.
fn end(token: &str) -> SystemTime {
    let claims = || {
        let part = token.split('.').nth(1)?;
        let json = BASE64_URL_SAFE_NO_PAD
            .decode(part.trim_end_matches('='))
            .ok()?;
        let claims: Claims = serde_json::from_slice(&json).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))
    };
    claims().unwrap_or_else(|| SystemTime::now() + LIFETIME)
}
