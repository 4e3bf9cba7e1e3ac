//! A service account that somebody else may be for a while (IAM Credentials, `generateAccessToken`).

use std::time::SystemTime;

use bytes::Bytes;
use chrono::DateTime;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::AccessToken;
use super::file::endpoint;
use crate::cloud::http::Call;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str = "give who impersonates it `roles/iam.workloadIdentityUser` (a federated identity) or `roles/iam.serviceAccountTokenCreator` on the service account";
const FIELD: &str = "service_account_impersonation_url";
/// Of a token, in seconds. More needs a policy of the organisation.
const LIFETIME: u64 = 3600;

/// A service account and by whose leave it is used.
#[derive(Debug)]
pub(super) struct Impersonation {
    url: Url,
    account: String,
    delegates: Vec<String>,
    lifetime: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    access_token: String,
    expire_time: String,
}

impl Impersonation {
    /// What is wrong with the URL, if anything is.
    pub(super) fn new(
        url: &str,
        delegates: Vec<String>,
        lifetime: Option<u64>,
    ) -> Result<Self, String> {
        let url = endpoint(FIELD, url)?;
        let name = url.path().rsplit('/').next().unwrap_or_default();
        let account = name
            .strip_suffix(":generateAccessToken")
            .ok_or_else(|| format!("has a `{FIELD}` that does not end with :generateAccessToken"))?
            .to_owned();
        Ok(Self {
            url,
            account,
            delegates,
            lifetime: lifetime.unwrap_or(LIFETIME),
        })
    }

    /// A token of the service account, for one of `who`.
    pub(super) async fn token(
        &self,
        surroundings: &Surroundings,
        who: &AccessToken,
        scope: &str,
    ) -> Result<AccessToken, Error> {
        let what = format!("impersonate the service account `{}`", self.account);
        let mut call = Call::get(Provider::Google, &what, self.url.clone(), FIX);
        call.method = Method::POST;
        let mut body = json!({ "scope": [scope], "lifetime": format!("{}s", self.lifetime) });
        if let (false, Some(fields)) = (self.delegates.is_empty(), body.as_object_mut()) {
            fields.insert("delegates".to_owned(), json!(self.delegates));
        }
        call.body = Bytes::from(body.to_string());
        call.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let bearer = format!("Bearer {}", who.token.expose());
        let call = call.header("authorization", &bearer)?;
        let answer: Answer = surroundings.http().json(&call).await?;
        let end = DateTime::parse_from_rfc3339(&answer.expire_time);
        let expires: SystemTime = end
            .map_err(|_| call.useless("its expireTime is no time"))?
            .into();
        Ok(AccessToken {
            token: surroundings.secret(answer.access_token),
            expires,
            source: format!(
                "the service account `{}`, impersonated by {}",
                self.account, who.source
            ),
        })
    }
}
