//! `GetAuthorizationToken` of ECR and ECR Public.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use url::Url;

use crate::Registry;
use crate::cloud::aws::{Aws, SigningRequest, sign};
use crate::cloud::cache::{Cache, Leased};
use crate::cloud::http::Call;
use crate::cloud::{Error, Provider};
use crate::keychain::docker_config::decode_auth;
use crate::keychain::hosts::{self, EcrHost};
use crate::keychain::{Credential, Sourced};

const FIX: &str = "allow the role `ecr:GetAuthorizationToken`";
const FIX_PUBLIC: &str =
    "allow the role `ecr-public:GetAuthorizationToken` and `sts:GetServiceBearerToken`";
const CONTENT: &str = "application/x-amz-json-1.1";

#[derive(Debug)]
pub(super) struct Ecr {
    aws: Aws,
    cache: Cache<EcrHost, (Credential, String)>,
}

/// The private API gives a list, the public one a single object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    authorization_data: OneOrMany,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Authorization),
    Many(Vec<Authorization>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: String,
    /// Seconds since 1970.
    expires_at: f64,
}

/// How one of the two APIs is asked.
struct Api {
    url: Url,
    target: &'static str,
    service: &'static str,
    region: String,
    fix: &'static str,
}

impl Ecr {
    pub(super) fn new(aws: Aws) -> Self {
        Self {
            aws,
            cache: Cache::default(),
        }
    }

    pub(super) async fn get(&self, registry: &Registry) -> Result<Option<Sourced>, Error> {
        let Some(host) = hosts::ecr(registry) else {
            return Ok(None);
        };
        let found = self.cache.get(host.clone(), self.fetch(&host)).await?;
        Ok(found.map(|lease| Sourced {
            credential: lease.value.0,
            source: lease.value.1,
            until: lease.until,
        }))
    }

    async fn fetch(&self, host: &EcrHost) -> Result<Option<Leased<(Credential, String)>>, Error> {
        let Some(credentials) = self.aws.credentials().await? else {
            return Err(Error::NoIdentity {
                provider: Provider::Aws,
                tried: "AWS_ACCESS_KEY_ID, a web identity, ~/.aws, the container's credentials and the instance's role",
                fix: "give the pod's service account a role (IRSA or EKS Pod Identity)",
            });
        };
        let api = self.api(host)?;
        let body = Bytes::from_static(b"{}");
        let what = "get an authorization token";
        let mut call = Call::get(Provider::Aws, what, api.url.clone(), api.fix);
        call.method = Method::POST;
        call.body.clone_from(&body);
        call.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
        call.headers
            .insert("x-amz-target", HeaderValue::from_static(api.target));
        let request = SigningRequest {
            method: "POST",
            url: &api.url,
            headers: &[("content-type", CONTENT), ("x-amz-target", api.target)],
            body: Some(&body),
            service: api.service,
            region: &api.region,
        };
        call.headers
            .extend(sign(&request, &credentials, SystemTime::now()));
        let surroundings = self.aws.surroundings();
        let answer: Answer = surroundings.http().json(&call).await?;
        let source = format!("ECR, as {}", credentials.source);
        answer
            .read()
            .map(|(credential, until)| {
                surroundings.secret(credential.secret().expose().as_str());
                Some(Leased {
                    value: (credential, source),
                    until: Some(until),
                })
            })
            .ok_or_else(|| call.useless("the answer holds no token"))
    }

    fn api(&self, host: &EcrHost) -> Result<Api, Error> {
        let (service, target, fix) = match host {
            EcrHost::Private { .. } => (
                "ECR",
                "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
                FIX,
            ),
            EcrHost::Public => (
                "ECR_PUBLIC",
                "SpencerFrontendService.GetAuthorizationToken",
                FIX_PUBLIC,
            ),
        };
        let (region, address) = match host {
            EcrHost::Private { region, api } => (region.clone(), api.as_str()),
            EcrHost::Public => (
                "us-east-1".to_owned(),
                "api.ecr-public.us-east-1.amazonaws.com",
            ),
        };
        let url = match self.aws.endpoint(service)? {
            Some(url) => url,
            None => Url::parse(&format!("https://{address}/")).map_err(|_not_a_host| {
                Error::configuration(Provider::Aws, format!("`{address}` is no host"), fix)
            })?,
        };
        Ok(Api {
            url,
            target,
            service: match host {
                EcrHost::Private { .. } => "ecr",
                EcrHost::Public => "ecr-public",
            },
            region,
            fix,
        })
    }
}

impl Answer {
    fn read(self) -> Option<(Credential, SystemTime)> {
        let first = match self.authorization_data {
            OneOrMany::One(one) => one,
            OneOrMany::Many(many) => many.into_iter().next()?,
        };
        let until = Duration::try_from_secs_f64(first.expires_at).ok()?;
        let until = UNIX_EPOCH.checked_add(until)?;
        Some((decode_auth(&first.authorization_token)?, until))
    }
}
