//! `AssumeRoleWithWebIdentity` (IRSA): a service account's token for a role's credentials.

use std::path::Path;
use std::time::SystemTime;

use chrono::DateTime;
use url::Url;

use super::Credentials;
use crate::cloud::http::Call;
use crate::cloud::surroundings::TokenFile;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str = "check the role's trust policy (issuer, namespace and service account of this pod) and AWS_ROLE_ARN";

/// A role and the token that may assume it.
#[derive(Debug)]
pub(super) struct WebIdentity {
    role: String,
    session: String,
    token: TokenFile,
}

impl WebIdentity {
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, as EKS sets them.
    pub(super) fn of_variables(surroundings: &Surroundings) -> Option<Self> {
        let file = surroundings.variable("AWS_WEB_IDENTITY_TOKEN_FILE")?;
        let role = surroundings.variable("AWS_ROLE_ARN")?;
        let session = surroundings.variable("AWS_ROLE_SESSION_NAME");
        Some(Self::new(
            surroundings,
            role.to_owned(),
            session.map(str::to_owned),
            (Path::new(file), "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ))
    }

    pub(super) fn new(
        surroundings: &Surroundings,
        role: String,
        session: Option<String>,
        (file, named_by): (&Path, &'static str),
    ) -> Self {
        Self {
            role,
            session: session.unwrap_or_else(|| "kigumi".to_owned()),
            token: TokenFile::new(surroundings, Provider::Aws, file, named_by),
        }
    }

    /// Asks STS for the role's credentials.
    pub(super) async fn assume(
        &self,
        surroundings: &Surroundings,
        endpoint: Url,
    ) -> Result<Credentials, Error> {
        let token = self.token.token(surroundings)?;
        let what = format!(
            "assume the role `{}` with the pod's web identity",
            self.role
        );
        let pairs = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.role),
            ("RoleSessionName", &self.session),
            ("WebIdentityToken", token.expose()),
        ];
        let call = Call::form(Provider::Aws, &what, endpoint, &pairs, FIX);
        let body = surroundings.http().send(&call).await?;
        let source = format!("the web identity of role `{}`", self.role);
        read(surroundings, &String::from_utf8_lossy(&body), source)
            .ok_or_else(|| call.useless("the answer holds no credentials"))
    }
}

/// The credentials in an answer of STS.
pub(super) fn read(
    surroundings: &Surroundings,
    answer: &str,
    source: String,
) -> Option<Credentials> {
    let credentials = element(answer, "Credentials")?;
    let secret = |name| Some(surroundings.secret(element(credentials, name)?));
    Some(Credentials {
        access_key_id: element(credentials, "AccessKeyId")?.to_owned(),
        secret_access_key: secret("SecretAccessKey")?,
        session_token: Some(secret("SessionToken")?),
        expires: Some(time(element(credentials, "Expiration")?)?),
        source,
    })
}

/// Where STS is for a region; the global endpoint without one.
pub(super) fn endpoint(region: Option<&str>) -> Result<Url, Error> {
    let host = match region {
        None => "sts.amazonaws.com".to_owned(),
        Some(region) => format!("sts.{region}.{}", domain(region)?),
    };
    Url::parse(&format!("https://{host}/")).map_err(|_not_a_region| bad_region())
}

/// The domain of a region's partition. A region is one label: it becomes part of a host name.
pub(crate) fn domain(region: &str) -> Result<&'static str, Error> {
    let is_label = !region.is_empty()
        && region
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_label {
        return Err(bad_region());
    }
    Ok(match region {
        _ if region.starts_with("cn-") => "amazonaws.com.cn",
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ if region.starts_with("eusc-") => "amazonaws.eu",
        _ => "amazonaws.com",
    })
}

fn bad_region() -> Error {
    Error::configuration(
        Provider::Aws,
        "the region is not one",
        "AWS_REGION looks like `eu-central-1`",
    )
}

pub(super) fn time(text: &str) -> Option<SystemTime> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.into())
}

/// The content of the first element of this name. Names and values of STS need no escaping: with any, this is not its answer.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    (!content.contains('&')).then(|| content.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sts_is_in_the_region_and_partition_of_the_pod() {
        for (region, expected) in [
            (None, Some("https://sts.amazonaws.com/")),
            (
                Some("eu-central-1"),
                Some("https://sts.eu-central-1.amazonaws.com/"),
            ),
            (
                Some("cn-north-1"),
                Some("https://sts.cn-north-1.amazonaws.com.cn/"),
            ),
            (Some("evil.test/"), None),
            (Some("a.evil.test#"), None),
            (Some(""), None),
        ] {
            let found = endpoint(region).ok();
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{region:?}");
        }
    }

    #[test]
    fn elements_are_found_by_their_whole_name() {
        let text = "<A><BC>no</BC><B> yes </B></A>";
        assert_eq!(element(text, "B"), Some("yes"));
        assert_eq!(element(text, "C"), None);
        assert_eq!(element("<B>a&amp;b</B>", "B"), None);
    }
}
