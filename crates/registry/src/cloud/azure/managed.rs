//! The identity that Azure gives to the machine or the app.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::Token;
use crate::Secret;
use crate::cloud::http::Call;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str = "assign a managed identity to the node pool and name it with AZURE_CLIENT_ID if it has several, or use workload identity";

/// Who is asked for the managed identity.
#[derive(Debug)]
pub(super) struct Managed {
    url: Url,
    header: Header,
    client: Option<String>,
    /// Somebody says that there is one.
    certain: bool,
}

enum Header {
    Instance,
    App(Secret<String>),
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Header(…)")
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<Value>,
    expires_on: Option<Value>,
}

impl Managed {
    /// `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` of App Service and Container Apps, else the instance's metadata service
    /// (`AZURE_POD_IDENTITY_AUTHORITY_HOST` if set).
    pub(super) fn of_variables(surroundings: &Surroundings) -> Result<Self, Error> {
        let client = surroundings.variable("AZURE_CLIENT_ID").map(str::to_owned);
        let variable = |name| Some((surroundings.variable(name)?, name));
        let wrong = |name: &str| {
            Error::configuration(
                Provider::Azure,
                format!("{name} is no URL"),
                "correct or remove it",
            )
        };
        let parse = |(text, name): (&str, &str)| {
            let url = Url::parse(text).ok().filter(Url::has_host);
            url.ok_or_else(|| wrong(name))
        };
        if let (Some(endpoint), Some(header)) = (
            variable("IDENTITY_ENDPOINT"),
            surroundings.variable("IDENTITY_HEADER"),
        ) {
            let mut url = parse(endpoint)?;
            url.query_pairs_mut()
                .append_pair("api-version", "2019-08-01");
            return Ok(Self {
                url,
                header: Header::App(surroundings.secret(header)),
                client,
                certain: true,
            });
        }
        let given = variable("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        let mut url = parse(given.unwrap_or(("http://169.254.169.254", "")))?;
        url.set_path("/metadata/identity/oauth2/token");
        url.query_pairs_mut()
            .append_pair("api-version", "2018-02-01");
        Ok(Self {
            url,
            header: Header::Instance,
            client,
            certain: given.is_some(),
        })
    }

    /// `None` when nobody is there, or nobody with an identity.
    pub(super) async fn token(
        &self,
        surroundings: &Surroundings,
        resource: &str,
    ) -> Result<Option<Token>, Error> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("resource", resource);
        if let Some(client) = &self.client {
            url.query_pairs_mut().append_pair("client_id", client);
        }
        let what = "get a token for the managed identity";
        let call = Call::get(Provider::Azure, what, url, FIX).at_metadata();
        let call = match &self.header {
            Header::Instance => call.header("metadata", "true")?,
            Header::App(secret) => call.header("x-identity-header", secret.expose())?,
        };
        let answer: Answer = match surroundings.http().json(&call).await {
            Ok(answer) => answer,
            Err(error) if !self.certain && self.client.is_none() && is_absence(&error) => {
                tracing::debug!(%error, "Azure: there is no managed identity");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let expires = answer
            .expires()
            .ok_or_else(|| call.useless("it does not say when the token ends"))?;
        Ok(Some(Token {
            token: surroundings.secret(answer.access_token),
            expires,
            source: self.client.as_ref().map_or_else(
                || "the managed identity".to_owned(),
                |client| format!("the managed identity `{client}`"),
            ),
        }))
    }
}

/// Nobody is there, or it is another cloud's metadata service, or the machine has no identity.
fn is_absence(error: &Error) -> bool {
    match error {
        Error::NoAnswer { .. } => true,
        Error::Refused { status, .. } => matches!(status, 400 | 401 | 403 | 404 | 405),
        Error::Configuration { .. }
        | Error::NoIdentity { .. }
        | Error::Read { .. }
        | Error::Answer { .. } => false,
    }
}

impl Answer {
    /// Seconds are numbers or texts, from now or since 1970.
    fn expires(&self) -> Option<SystemTime> {
        let seconds = |value: &Option<Value>| match value.as_ref()? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let on = seconds(&self.expires_on);
        let on = on.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        on.or_else(|| {
            let left = Duration::from_secs(seconds(&self.expires_in)?.min(86_400));
            Some(SystemTime::now() + left)
        })
    }
}
