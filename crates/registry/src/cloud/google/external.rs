//! Workload identity federation: a token of somebody else, exchanged (RFC 8693), and the service account it may impersonate.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::file::endpoint;
use super::impersonation::Impersonation;
use super::{AccessToken, CLOUD_PLATFORM, TokenAnswer};
use crate::Secret;
use crate::cloud::http::Call;
use crate::cloud::surroundings::TokenFile;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str = "check the workload identity pool's provider (issuer, audience, attribute condition) and what the pod's token says";

#[derive(Deserialize)]
pub(super) struct ExternalFile {
    audience: String,
    subject_token_type: String,
    token_url: String,
    credential_source: Source,
    service_account_impersonation_url: Option<String>,
    service_account_impersonation: Option<Lifetime>,
}

#[derive(Deserialize)]
struct Lifetime {
    token_lifetime_seconds: Option<u64>,
}

#[derive(Deserialize)]
struct Source {
    file: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    format: Option<Format>,
    environment_id: Option<Value>,
    executable: Option<Value>,
    certificate: Option<Value>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: String,
    subject_token_field_name: Option<String>,
}

/// A federated identity.
#[derive(Debug)]
pub(super) struct External {
    audience: String,
    subject_token_type: String,
    token_url: Url,
    subject: Subject,
    /// The field of JSON that holds the subject's token; `None` for plain text.
    field: Option<String>,
    impersonate: Option<Impersonation>,
}

#[derive(Debug)]
enum Subject {
    File(TokenFile),
    Url(Url, BTreeMap<String, String>),
}

impl External {
    /// What is wrong with the file, if anything is.
    pub(super) fn new(surroundings: &Surroundings, file: ExternalFile) -> Result<Self, String> {
        let source = file.credential_source;
        for (given, name) in [
            (source.environment_id.is_some(), "an AWS environment"),
            (source.executable.is_some(), "a program"),
            (source.certificate.is_some(), "a certificate"),
        ] {
            if given {
                return Err(format!(
                    "has {name} as credential_source, which is not supported"
                ));
            }
        }
        let field =
            match source.format {
                None => None,
                Some(format) if format.kind == "text" => None,
                Some(Format {
                    kind,
                    subject_token_field_name: Some(field),
                }) if kind == "json" => Some(field),
                Some(_) => return Err(
                    "has a credential_source whose format is neither text nor json with a field"
                        .to_owned(),
                ),
            };
        let subject = match (source.file, source.url) {
            (Some(file), None) => Subject::File(TokenFile::new(
                surroundings,
                Provider::Google,
                Path::new(&file),
                "credential_source of GOOGLE_APPLICATION_CREDENTIALS",
            )),
            (None, Some(url)) => {
                // What it answers is a token: nobody may listen. Metadata services are on this machine.
                let url = Url::parse(&url).ok().filter(Url::has_host);
                Subject::Url(
                    url.ok_or("has a credential_source whose url is none")?,
                    source.headers,
                )
            }
            _ => return Err("has a credential_source that is neither a file nor a url".to_owned()),
        };
        let lifetime = file.service_account_impersonation;
        let lifetime = lifetime.and_then(|given| given.token_lifetime_seconds);
        let impersonate = file
            .service_account_impersonation_url
            .filter(|url| !url.is_empty())
            .map(|url| Impersonation::new(&url, Vec::new(), lifetime))
            .transpose()?;
        Ok(Self {
            audience: file.audience,
            subject_token_type: file.subject_token_type,
            token_url: endpoint("token_url", &file.token_url)?,
            subject,
            field,
            impersonate,
        })
    }

    pub(super) async fn token(
        &self,
        surroundings: &Surroundings,
        scope: &str,
    ) -> Result<AccessToken, Error> {
        let subject = self.subject(surroundings).await?;
        let first = if self.impersonate.is_some() {
            CLOUD_PLATFORM
        } else {
            scope
        };
        let pairs = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("audience", self.audience.as_str()),
            ("scope", first),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("subject_token_type", &self.subject_token_type),
            ("subject_token", subject.expose()),
        ];
        let what = format!("exchange the pod's token for one of `{}`", self.audience);
        let call = Call::form(Provider::Google, &what, self.token_url.clone(), &pairs, FIX);
        let answer: TokenAnswer = surroundings.http().json(&call).await?;
        let source = format!("workload identity federation with `{}`", self.audience);
        let token = answer.read(surroundings, source);
        match &self.impersonate {
            None => Ok(token),
            Some(account) => account.token(surroundings, &token, scope).await,
        }
    }

    async fn subject(&self, surroundings: &Surroundings) -> Result<Secret<String>, Error> {
        let text = match &self.subject {
            Subject::File(file) => file.token(surroundings)?.expose().clone(),
            Subject::Url(url, headers) => {
                let what = "get the token to be exchanged";
                let mut call = Call::get(Provider::Google, what, url.clone(), FIX);
                if url.scheme() == "http" {
                    call = call.at_metadata();
                }
                for (name, value) in headers {
                    let name = HeaderName::from_bytes(name.as_bytes());
                    let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(value)) else {
                        return Err(
                            call.useless("a header of its credential_source cannot be sent")
                        );
                    };
                    value.set_sensitive(true);
                    call.headers.insert(name, value);
                }
                let body = surroundings.http().send(&call).await?;
                String::from_utf8_lossy(&body).trim().to_owned()
            }
        };
        let token = match &self.field {
            None => Some(text),
            Some(field) => {
                let value: Option<Value> = serde_json::from_str(&text).ok();
                value.and_then(|value| Some(value.get(field)?.as_str()?.to_owned()))
            }
        };
        token
            .filter(|token| !token.is_empty())
            .map(|token| surroundings.secret(token))
            .ok_or_else(|| {
                Error::configuration(
                    Provider::Google,
                    "the credential_source of the external account holds no token",
                    "check its format and subject_token_field_name",
                )
            })
    }
}
