use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::external::External;
use super::impersonation::Impersonation;
use super::service_account::ServiceAccount;
use super::{AccessToken, CLOUD_PLATFORM, TokenAnswer};
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
    Impersonated(Box<Impersonated>),
}

/// A service account, and who is it for a while.
#[derive(Debug)]
pub(super) struct Impersonated {
    who: CredentialFile,
    account: Impersonation,
}

#[derive(Deserialize)]
struct ImpersonatedFile {
    service_account_impersonation_url: String,
    source_credentials: Value,
    delegates: Option<Vec<String>>,
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
        // The parser's words are left out: they quote values.
        serde_json::from_str(text)
            .map_err(|_quotes_values| Wrong::unread())
            .and_then(|value| Self::of(surroundings, path, value))
            .map_err(|wrong| wrong.at(path))
    }

    fn of(surroundings: &Surroundings, path: &Path, value: Value) -> Result<Self, Wrong> {
        match kind(&value).as_str() {
            "impersonated_service_account" => {
                let file: ImpersonatedFile = read(value)?;
                let fix = "create it again with `gcloud auth application-default login --impersonate-service-account`";
                if kind(&file.source_credentials) == "impersonated_service_account" {
                    let what = "has source_credentials that are impersonated themselves, which is not supported";
                    return Err(Wrong::new(
                        what,
                        "name the accounts on the way as delegates",
                    ));
                }
                let account = Impersonation::new(
                    &file.service_account_impersonation_url,
                    file.delegates.unwrap_or_default(),
                    None,
                );
                Ok(Self::Impersonated(Box::new(Impersonated {
                    account: account.map_err(|what| Wrong::new(what, fix))?,
                    who: Self::own(surroundings, path, file.source_credentials)?,
                })))
            }
            _ => Self::own(surroundings, path, value),
        }
    }

    /// Somebody who is nobody else.
    fn own(surroundings: &Surroundings, path: &Path, value: Value) -> Result<Self, Wrong> {
        match kind(&value).as_str() {
            "service_account" => ServiceAccount::new(surroundings, read(value)?)
                .map(|account| Self::ServiceAccount(Box::new(account)))
                .map_err(|what| Wrong::new(what, "create a new key for the service account")),
            "external_account" => External::new(surroundings, read(value)?)
                .map(|external| Self::External(Box::new(external)))
                .map_err(|what| {
                    Wrong::new(what, "use `gcloud iam workload-identity-pools create-cred-config` with a file or URL source")
                }),
            "authorized_user" => User::new(surroundings, read(value)?, path)
                .map(|user| Self::User(Box::new(user)))
                .ok_or_else(Wrong::unread),
            "" => Err(Wrong::unread()),
            other => Err(Wrong::new(
                format!("is of type `{other}`, which is not supported"),
                "use service_account, external_account, impersonated_service_account or authorized_user",
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
            Self::Impersonated(impersonated) => {
                let who = &impersonated.who;
                let who = Box::pin(who.token(surroundings, CLOUD_PLATFORM)).await?;
                impersonated.account.token(surroundings, &who, scope).await
            }
        }
    }
}

/// What is wrong with a file, and what to do about it.
struct Wrong {
    what: String,
    fix: &'static str,
}

impl Wrong {
    fn new(what: impl Into<String>, fix: &'static str) -> Self {
        Self {
            what: what.into(),
            fix,
        }
    }

    fn unread() -> Self {
        Self::new(
            "is not the JSON of a credential",
            "download it again, or mount the right key of the secret",
        )
    }

    fn at(self, path: &Path) -> Error {
        let what = format!("`{}` {}", path.display(), self.what);
        Error::configuration(Provider::Google, what, self.fix)
    }
}

fn kind(value: &Value) -> String {
    let kind = value.get("type").and_then(Value::as_str);
    kind.unwrap_or_default().to_owned()
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Wrong> {
    serde_json::from_value(value).map_err(|_quotes_values| Wrong::unread())
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
