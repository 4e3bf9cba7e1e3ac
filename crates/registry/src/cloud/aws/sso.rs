//! IAM Identity Center (SSO): the token of a login that somebody made elsewhere, for the credentials of a role.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest;
use serde::Deserialize;
use url::Url;

use super::profile::{Files, Profile, Section};
use super::{Credentials, sts};
use crate::Secret;
use crate::cloud::http::Call;
use crate::cloud::surroundings::read_named;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str = "check sso_account_id and sso_role_name, and log in again with `aws sso login`";

/// A login and the role that it is used for.
#[derive(Debug)]
pub(super) struct Sso {
    profile: String,
    account: String,
    role: String,
    url: Url,
    token: Result<Token, Error>,
}

#[derive(Clone)]
struct Token {
    token: Secret<String>,
    until: SystemTime,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What `aws sso login` leaves behind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cached {
    access_token: String,
    expires_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    role_credentials: RoleCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    /// Milliseconds since 1970.
    expiration: u64,
}

impl Sso {
    /// `sso_session`, or the older `sso_start_url`.
    pub(super) fn of(
        surroundings: &Surroundings,
        files: &Files,
        profile: &Profile,
    ) -> Result<Option<Self>, Error> {
        let (session, start) = (profile.get("sso_session"), profile.get("sso_start_url"));
        let Some(key) = session.or(start) else {
            return Ok(None);
        };
        let section = match session {
            None => None,
            Some(name) => Some(files.session(name).ok_or_else(|| {
                profile.wrong(
                    format!("has the sso_session `{name}`, which is not there"),
                    format!("add [sso-session {name}] to the file"),
                )
            })?),
        };
        let setting = |name: &str| {
            let of_session = |section: &Section| section.get(name).cloned();
            let found = profile.get(name).map(str::to_owned);
            found.or_else(|| section.and_then(of_session))
        };
        let needed = |name: &str| {
            setting(name).ok_or_else(|| {
                profile.wrong(format!("has SSO and no {name}"), format!("set {name}"))
            })
        };
        let region = needed("sso_region")?;
        let host = format!("portal.sso.{region}.{}", sts::domain(&region)?);
        let url = Url::parse(&format!("https://{host}/federation/credentials"));
        let url = url.map_err(|_not_a_host| profile.wrong("has a bad sso_region", "correct it"))?;
        Ok(Some(Self {
            profile: profile.title(),
            account: needed("sso_account_id")?,
            role: needed("sso_role_name")?,
            url,
            token: Token::read(surroundings, profile, key),
        }))
    }

    pub(super) async fn credentials(
        &self,
        surroundings: &Surroundings,
        endpoint: Option<Url>,
    ) -> Result<Credentials, Error> {
        let token = self.token.clone()?;
        if token.until <= SystemTime::now() {
            return Err(Error::configuration(
                Provider::Aws,
                format!("the SSO login of {} has ended", self.profile),
                "log in again with `aws sso login`; for builds without a person use the role of the pod (IRSA or EKS Pod Identity)",
            ));
        }
        let mut url = endpoint.unwrap_or_else(|| self.url.clone());
        url.set_path(self.url.path());
        url.query_pairs_mut()
            .append_pair("account_id", &self.account)
            .append_pair("role_name", &self.role);
        let what = format!(
            "get the credentials of the SSO role `{}` in account `{}`",
            self.role, self.account
        );
        let call = Call::get(Provider::Aws, &what, url, FIX)
            .header("x-amz-sso_bearer_token", token.token.expose())?;
        let answer: Answer = surroundings.http().json(&call).await?;
        let found = answer.role_credentials;
        let until = UNIX_EPOCH.checked_add(Duration::from_millis(found.expiration));
        Ok(Credentials {
            access_key_id: found.access_key_id,
            secret_access_key: surroundings.secret(found.secret_access_key),
            session_token: Some(surroundings.secret(found.session_token)),
            expires: Some(until.ok_or_else(|| call.useless("its time of expiration is not one"))?),
            source: format!("SSO, {}", self.profile),
        })
    }
}

impl Token {
    /// The file of the cache that the AWS CLI keeps under the hash of the session's name, or of its start URL.
    fn read(surroundings: &Surroundings, profile: &Profile, key: &str) -> Result<Self, Error> {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
        let mut name = String::new();
        for byte in hash.as_ref() {
            // Writing to a String does not fail.
            let _written = write!(name, "{byte:02x}");
        }
        let path = surroundings.at_home(&format!(".aws/sso/cache/{name}.json"));
        let path = path.filter(|path| path.exists()).ok_or_else(|| {
            profile.wrong(
                format!("has SSO, and there is no login for it (~/.aws/sso/cache/{name}.json)"),
                "log in with `aws sso login` and mount ~/.aws with its sso/cache; for builds without a person use the role of the pod (IRSA or EKS Pod Identity)",
            )
        })?;
        let text = read_named(Provider::Aws, &path, "the SSO login")?;
        let cached: Option<Cached> = serde_json::from_str(&text).ok();
        let until = |cached: &Cached| sts::time(&cached.expires_at.replace("UTC", "Z"));
        let found = cached.and_then(|cached| Some((until(&cached)?, cached)));
        let (until, cached) = found.ok_or_else(|| {
            Error::configuration(
                Provider::Aws,
                format!("`{}` is not an SSO login", path.display()),
                "log in again with `aws sso login`",
            )
        })?;
        Ok(Self {
            token: surroundings.secret(cached.access_token),
            until,
        })
    }
}
