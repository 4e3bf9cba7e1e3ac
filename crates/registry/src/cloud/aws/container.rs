//! Credentials from an agent beside the container: EKS Pod Identity and ECS tasks.

use std::net::Ipv6Addr;
use std::path::Path;

use serde::Deserialize;
use url::{Host, Url};

use super::{Credentials, sts};
use crate::Secret;
use crate::cloud::http::{Call, is_loopback};
use crate::cloud::surroundings::TokenFile;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str = "check the association of this pod's service account with a role";
/// Where ECS's agent is; the variable is that of the SDK for Java.
const ECS: &str = "http://169.254.170.2";
const ENDPOINT: &str = "AWS_CONTAINER_SERVICE_ENDPOINT";
/// Where the agents of ECS and EKS are; no other host is asked over plain HTTP, as in the SDKs.
const AGENTS: [[u8; 4]; 2] = [[169, 254, 170, 2], [169, 254, 170, 23]];
const AGENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23);

/// An agent and what it wants to see.
#[derive(Debug)]
pub(super) struct Container {
    url: Url,
    named_by: &'static str,
    authorization: Authorization,
}

enum Authorization {
    None,
    Value(Secret<String>),
    File(TokenFile),
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(…)")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Answer {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) token: Option<String>,
    pub(super) expiration: Option<String>,
}

impl Container {
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub(super) fn of_variables(surroundings: &Surroundings) -> Result<Option<Self>, Error> {
        let relative = surroundings.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let full = surroundings.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let (url, named_by) = match (relative, full) {
            (Some(path), _) => (
                relative_to(surroundings.variable(ENDPOINT).unwrap_or(ECS), path),
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            ),
            (None, Some(url)) => (
                Url::parse(url).ok().filter(is_allowed),
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ),
            (None, None) => return Ok(None),
        };
        let url = url.ok_or_else(|| {
            Error::configuration(
                Provider::Aws,
                format!("{named_by} does not name an agent that may be asked"),
                "it is on HTTPS, or on this machine, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]",
            )
        })?;
        let file = surroundings.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        let value = surroundings.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        let authorization = match (file, value) {
            (Some(file), _) => Authorization::File(TokenFile::new(
                surroundings,
                Provider::Aws,
                Path::new(file),
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            )),
            (None, Some(value)) => Authorization::Value(surroundings.secret(value)),
            (None, None) => Authorization::None,
        };
        Ok(Some(Self {
            url,
            named_by,
            authorization,
        }))
    }

    pub(super) async fn credentials(
        &self,
        surroundings: &Surroundings,
    ) -> Result<Credentials, Error> {
        let what = "get the credentials of the container";
        let mut call = Call::get(Provider::Aws, what, self.url.clone(), FIX);
        if self.url.scheme() == "http" {
            call = call.at_metadata();
        }
        let token = match &self.authorization {
            Authorization::None => None,
            Authorization::Value(value) => Some(value.clone()),
            Authorization::File(file) => Some(file.token(surroundings)?),
        };
        if let Some(token) = token {
            call = call.header("authorization", token.expose())?;
        }
        let answer: Answer = surroundings.http().json(&call).await?;
        answer
            .read(
                surroundings,
                format!("the container's agent ({})", self.named_by),
            )
            .ok_or_else(|| call.useless("its time of expiration is not one"))
    }
}

impl Answer {
    /// `None` when its end is no time.
    pub(super) fn read(self, surroundings: &Surroundings, source: String) -> Option<Credentials> {
        let expires = match self.expiration {
            Some(text) => Some(sts::time(&text)?),
            None => None,
        };
        Some(Credentials {
            access_key_id: self.access_key_id,
            secret_access_key: surroundings.secret(self.secret_access_key),
            session_token: self.token.map(|token| surroundings.secret(token)),
            expires,
            source,
        })
    }
}

/// A path at an agent that may be asked, and nowhere else.
fn relative_to(base: &str, path: &str) -> Option<Url> {
    let base = Url::parse(base).ok().filter(is_allowed)?;
    let url = base.join(path).ok()?;
    (path.starts_with('/') && url.origin() == base.origin()).then_some(url)
}

/// The SDKs' rule: HTTPS to anybody, plain HTTP to this machine and the known agents.
fn is_allowed(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => {
            is_loopback(url)
                || match url.host() {
                    Some(Host::Ipv4(address)) => AGENTS.contains(&address.octets()),
                    Some(Host::Ipv6(address)) => address == AGENT_V6,
                    Some(Host::Domain(_)) | None => false,
                }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_uri_is_a_path_at_the_agent() {
        for (base, path, expected) in [
            (ECS, "/v2/x?id=1", Some("http://169.254.170.2/v2/x?id=1")),
            (
                "http://127.0.0.1:8080",
                "/v2",
                Some("http://127.0.0.1:8080/v2"),
            ),
            ("http://agent.test", "/v2", None),
            (ECS, "//evil.test/v2", None),
            (ECS, "https://evil.test/v2", None),
            (ECS, "/\\evil.test/v2", None),
            (ECS, "v2", None),
        ] {
            let found = relative_to(base, path);
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{base} {path}");
        }
    }

    #[test]
    fn only_known_agents_are_asked_over_plain_http() {
        for (url, allowed) in [
            ("http://169.254.170.23/v1/credentials", true),
            ("http://169.254.170.2/v2/x", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://localhost/x", true),
            ("https://agent.test/x", true),
            ("http://agent.test/x", false),
            ("http://169.254.169.254/x", false),
            ("http://169.254.170.23.evil.test/x", false),
            ("http://localhost.evil.test/x", false),
            ("http://10.0.0.1/x", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_allowed(&Url::parse(url).unwrap()), allowed, "{url}");
        }
    }
}
