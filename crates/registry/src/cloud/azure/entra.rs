//! An application with a federated token, a certificate or a secret (OAuth 2.0 client credentials).

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use url::Url;

use super::certificate::Certificate;
use super::{AzureCloud, Token};
use crate::Secret;
use crate::cloud::http::{Call, may_hold_secrets};
use crate::cloud::surroundings::TokenFile;
use crate::cloud::{Error, Provider, Surroundings};

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const FEDERATED: &str = "check the federated credential of the application (issuer, namespace and service account of this pod), AZURE_CLIENT_ID and AZURE_TENANT_ID";
const SECRET: &str =
    "check AZURE_CLIENT_ID, AZURE_TENANT_ID, and whether AZURE_CLIENT_SECRET has expired";

const CERTIFICATE: &str = "check that the certificate is one of the application's and has not expired, AZURE_CLIENT_ID, AZURE_TENANT_ID and this machine's clock";

/// An application and how it proves to be it.
#[derive(Debug)]
pub(super) struct Application {
    client: String,
    url: Url,
    proof: Proof,
}

enum Proof {
    File(TokenFile),
    Token(Secret<String>),
    Secret(Secret<String>),
    Certificate(Box<Certificate>),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(…)")
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}

impl Application {
    /// The application that the variables name; `None` when they name no proof.
    pub(super) fn of_variables(
        surroundings: &Surroundings,
        cloud: AzureCloud,
    ) -> Result<Option<Self>, Error> {
        let variable = |name| surroundings.variable(name);
        let file = variable("AZURE_FEDERATED_TOKEN_FILE");
        let token = variable("AZURE_FEDERATED_TOKEN");
        let secret = variable("AZURE_CLIENT_SECRET");
        let certificate = match secret {
            Some(_) => None,
            None => Certificate::of_variables(surroundings)?,
        };
        let (proof, by) = match (secret, certificate, file, token) {
            (Some(secret), ..) => (
                Proof::Secret(surroundings.secret(secret)),
                "AZURE_CLIENT_SECRET",
            ),
            (None, Some(certificate), ..) => (
                Proof::Certificate(Box::new(certificate)),
                "AZURE_CLIENT_CERTIFICATE_PATH",
            ),
            (None, None, Some(file), _) => {
                let by = "AZURE_FEDERATED_TOKEN_FILE";
                let file = TokenFile::new(surroundings, Provider::Azure, Path::new(file), by);
                (Proof::File(file), by)
            }
            (None, None, None, Some(token)) => (
                Proof::Token(surroundings.secret(token)),
                "AZURE_FEDERATED_TOKEN",
            ),
            (None, None, None, None) => return Ok(None),
        };
        let needed = |name: &'static str| {
            variable(name).ok_or_else(|| {
                Error::configuration(
                    Provider::Azure,
                    format!("{by} is set and {name} is not"),
                    "set AZURE_CLIENT_ID and AZURE_TENANT_ID beside it",
                )
            })
        };
        let client = needed("AZURE_CLIENT_ID")?.to_owned();
        let tenant = needed("AZURE_TENANT_ID")?;
        let authority = variable("AZURE_AUTHORITY_HOST");
        Ok(Some(Self {
            client,
            url: endpoint(authority.unwrap_or(cloud.authority()), tenant)?,
            proof,
        }))
    }

    pub(super) async fn token(
        &self,
        surroundings: &Surroundings,
        resource: &str,
    ) -> Result<Token, Error> {
        let scope = format!("{}/.default", resource.trim_end_matches('/'));
        let mut pairs = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client.as_str()),
            ("scope", &scope),
        ];
        let (secret, kind, fix) = match &self.proof {
            Proof::File(file) => (
                file.token(surroundings)?,
                "the workload identity",
                FEDERATED,
            ),
            Proof::Token(token) => (token.clone(), "the federated token", FEDERATED),
            Proof::Secret(secret) => (secret.clone(), "the client secret", SECRET),
            Proof::Certificate(certificate) => {
                let assertion = certificate.assertion(&self.client, &self.url, SystemTime::now());
                let assertion = assertion.ok_or_else(|| {
                    let what = "the key of the client certificate does not sign";
                    Error::configuration(Provider::Azure, what, CERTIFICATE)
                })?;
                let assertion = surroundings.secret(assertion);
                (assertion, "the client certificate", CERTIFICATE)
            }
        };
        if matches!(self.proof, Proof::Secret(_)) {
            pairs.push(("client_secret", secret.expose()));
        } else {
            pairs.push(("client_assertion_type", ASSERTION));
            pairs.push(("client_assertion", secret.expose()));
        }
        let source = format!("{kind} of the application `{}`", self.client);
        let what = format!("get a token for {source}");
        let call = Call::form(Provider::Azure, &what, self.url.clone(), &pairs, fix);
        let answer: Answer = surroundings.http().json(&call).await?;
        Ok(Token {
            token: surroundings.secret(answer.access_token),
            expires: SystemTime::now() + Duration::from_secs(answer.expires_in.min(86_400)),
            source,
        })
    }
}

fn endpoint(authority: &str, tenant: &str) -> Result<Url, Error> {
    let wrong = |what: &str, fix: &str| Error::configuration(Provider::Azure, what, fix);
    let url = Url::parse(authority).ok().filter(may_hold_secrets);
    let mut url = url.ok_or_else(|| {
        wrong(
            "AZURE_AUTHORITY_HOST is no URL of https",
            "it looks like `https://login.microsoftonline.com/`",
        )
    })?;
    // A tenant becomes part of a path.
    let is_tenant = tenant
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if !is_tenant {
        return Err(wrong(
            "AZURE_TENANT_ID is not one",
            "it is a GUID or a domain",
        ));
    }
    url.set_path(&format!("/{tenant}/oauth2/v2.0/token"));
    Ok(url)
}
