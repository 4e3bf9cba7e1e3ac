//! The key of a service account: a signed assertion for a token (RFC 7523).

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::file::endpoint;
use super::{AccessToken, TokenAnswer};
use crate::cloud::http::Call;
use crate::cloud::jwt::Signer;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str =
    "check that the service account and its key still exist, and this machine's clock";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Of an assertion, in seconds. Google takes no more.
const LIFETIME: u64 = 3600;

#[derive(Deserialize)]
pub(super) struct ServiceAccountFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

/// A service account with its key.
#[derive(Debug)]
pub(super) struct ServiceAccount {
    email: String,
    key: Signer,
    key_id: Option<String>,
    url: Url,
}

impl ServiceAccount {
    /// What is wrong with the file, if anything is.
    pub(super) fn new(
        surroundings: &Surroundings,
        file: ServiceAccountFile,
    ) -> Result<Self, String> {
        // Every line by itself, too: a log may show it so.
        surroundings.secret(file.private_key.as_str());
        let key = Signer::from_pem(&file.private_key)
            .ok_or_else(|| "has a private key that is not RSA in PEM".to_owned())?;
        let uri = file.token_uri.as_deref();
        let uri = uri.unwrap_or("https://oauth2.googleapis.com/token");
        Ok(Self {
            email: file.client_email,
            key,
            key_id: file.private_key_id,
            url: endpoint("token_uri", uri)?,
        })
    }

    pub(super) async fn token(
        &self,
        surroundings: &Surroundings,
        scope: &str,
    ) -> Result<AccessToken, Error> {
        let assertion = self.assertion(scope, SystemTime::now()).ok_or_else(|| {
            Error::configuration(
                Provider::Google,
                "the key of the service account does not sign",
                FIX,
            )
        })?;
        let assertion = surroundings.secret(assertion);
        let what = format!(
            "get an access token for the service account `{}`",
            self.email
        );
        let pairs = [("grant_type", GRANT), ("assertion", assertion.expose())];
        let call = Call::form(Provider::Google, &what, self.url.clone(), &pairs, FIX);
        let answer: TokenAnswer = surroundings.http().json(&call).await?;
        let source = format!("the key of the service account `{}`", self.email);
        Ok(answer.read(surroundings, source))
    }

    fn assertion(&self, scope: &str, now: SystemTime) -> Option<String> {
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = json!({
            "iss": self.email,
            "scope": scope,
            "aud": self.url.as_str(),
            "iat": now,
            "exp": now + LIFETIME,
        });
        self.key.sign(&header, &claims)
    }
}
