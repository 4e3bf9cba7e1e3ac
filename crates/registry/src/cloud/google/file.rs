use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::external::{External, ExternalFile};
use super::service_account::{ServiceAccount, ServiceAccountFile};
use super::{AccessToken, TokenAnswer};
use crate::Secret;
use crate::cloud::http::{Call, may_hold_secrets};
use crate::cloud::surroundings::read_named;
use crate::cloud::{Error, Provider, Surroundings};

const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// Where `gcloud auth application-default login` puts it.
const AT_HOME: &str = ".config/gcloud/application_default_credentials.json";

/// A file with an identity.
#[derive(Debug)]
pub(super) enum CredentialFile {
    ServiceAccount(Box<ServiceAccount>),
    External(Box<External>),
    User(Box<User>),
}

/// Somebody who logged in with `gcloud`.
pub(super) struct User {
    client_id: String,
    client_secret: Secret<String>,
    refresh_token: Secret<String>,
    url: Url,
    source: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({})", self.source)
    }
}

#[derive(Deserialize)]
struct UserFile {
    client_id: String,
    client_secret: String,
    refresh_token: String,
}

impl CredentialFile {
    /// The file that the variable names, else the one of `gcloud`.
    pub(super) fn find(surroundings: &Surroundings) -> Result<Option<Self>, Error> {
        let (path, named_by) = match surroundings.variable(VARIABLE) {
            Some(path) => (PathBuf::from(path), VARIABLE),
            None => match surroundings.at_home(AT_HOME).filter(|path| path.exists()) {
                Some(path) => (path, "gcloud"),
                None => return Ok(None),
            },
        };
        let text = read_named(Provider::Google, &path, named_by)?;
        Self::parse(surroundings, &path, &text).map(Some)
    }

    fn parse(surroundings: &Surroundings, path: &Path, text: &str) -> Result<Self, Error> {
        let wrong = |what: String, fix: &str| {
            let what = format!("`{}` {what}", path.display());
            Error::configuration(Provider::Google, what, fix)
        };
        let unread = || {
            wrong(
                "is not the JSON of a credential".to_owned(),
                "download it again, or mount the right key of the secret",
            )
        };
        let value: Value = serde_json::from_str(text).map_err(|_quotes_values| unread())?;
        let kind = value
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let kind = kind.to_owned();
        match kind.as_str() {
            "service_account" => {
                let file: ServiceAccountFile =
                    serde_json::from_value(value).map_err(|_| unread())?;
                ServiceAccount::new(surroundings, file)
                    .map(|account| Self::ServiceAccount(Box::new(account)))
                    .map_err(|what| wrong(what, "create a new key for the service account"))
            }
            "external_account" => {
                let file: ExternalFile = serde_json::from_value(value).map_err(|_| unread())?;
                External::new(surroundings, file)
                    .map(|external| Self::External(Box::new(external)))
                    .map_err(|what| {
                        wrong(what, "use `gcloud iam workload-identity-pools create-cred-config` with a file or URL source")
                    })
            }
            "authorized_user" => {
                let file: UserFile = serde_json::from_value(value).map_err(|_| unread())?;
                User::new(surroundings, file, path)
                    .map(|user| Self::User(Box::new(user)))
                    .ok_or_else(unread)
            }
            "" => Err(unread()),
            other => Err(wrong(
                format!("is of type `{other}`, which is not supported"),
                "use service_account, external_account or authorized_user",
            )),
        }
    }

    pub(super) async fn token(
        &self,
        surroundings: &Surroundings,
        scope: &str,
    ) -> Result<AccessToken, Error> {
        match self {
            Self::ServiceAccount(account) => account.token(surroundings, scope).await,
            Self::External(external) => external.token(surroundings, scope).await,
            Self::User(user) => user.token(surroundings).await,
        }
    }
}

impl User {
    fn new(surroundings: &Surroundings, file: UserFile, path: &Path) -> Option<Self> {
        Some(Self {
            client_id: file.client_id,
            client_secret: surroundings.secret(file.client_secret),
            refresh_token: surroundings.secret(file.refresh_token),
            url: Url::parse("https://oauth2.googleapis.com/token").ok()?,
            source: format!("the user of `{}`", path.display()),
        })
    }

    async fn token(&self, surroundings: &Surroundings) -> Result<AccessToken, Error> {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.expose()),
            ("refresh_token", self.refresh_token.expose()),
        ];
        let call = Call::form(
            Provider::Google,
            "get an access token for the user",
            self.url.clone(),
            &pairs,
            "log in again with `gcloud auth application-default login`",
        );
        let answer: TokenAnswer = surroundings.http().json(&call).await?;
        Ok(answer.read(surroundings, self.source.clone()))
    }
}

/// A URL out of a file that secrets are sent to.
pub(super) fn endpoint(field: &str, text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    let url = url.ok_or_else(|| format!("has a `{field}` that is no URL"))?;
    if may_hold_secrets(&url) {
        Ok(url)
    } else {
        Err(format!("has a `{field}` that is not on HTTPS"))
    }
}
