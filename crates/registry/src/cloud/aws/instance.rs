//! The role of the instance (`IMDSv2`).

use reqwest::Method;
use url::Url;

use super::Credentials;
use super::container::Answer;
use crate::cloud::http::Call;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str = "give the pod a role of its own (IRSA or EKS Pod Identity), or let the instance's metadata service answer pods (hop limit 2)";

/// The metadata service; none when it is disabled.
#[derive(Debug)]
pub(super) struct Instance(Option<Url>);

impl Instance {
    pub(super) fn new(surroundings: &Surroundings) -> Result<Self, Error> {
        if surroundings.says_yes("AWS_EC2_METADATA_DISABLED") {
            return Ok(Self(None));
        }
        let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        let text = surroundings
            .variable(variable)
            .unwrap_or("http://169.254.169.254");
        let url = Url::parse(text).ok().filter(Url::has_host);
        url.map(|url| Self(Some(url))).ok_or_else(|| {
            Error::configuration(
                Provider::Aws,
                format!("{variable} is no URL"),
                "correct or remove it",
            )
        })
    }

    /// `None` when nobody is there, or nobody with a role.
    pub(super) async fn credentials(
        &self,
        surroundings: &Surroundings,
    ) -> Result<Option<Credentials>, Error> {
        let Some(base) = &self.0 else {
            tracing::debug!(
                "AWS: the instance's metadata service is disabled by AWS_EC2_METADATA_DISABLED"
            );
            return Ok(None);
        };
        let found = ask(surroundings, base).await;
        match found {
            Ok(found) => Ok(found),
            // Where there is no instance there is nobody to ask.
            Err(error @ Error::NoAnswer { .. }) => {
                tracing::debug!(%error, "AWS: no instance, or its metadata service does not answer pods");
                Ok(None)
            }
            Err(error) if matches!(error.status(), Some(403..=405)) => {
                tracing::debug!(%error, "AWS: the instance has no role");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

async fn ask(surroundings: &Surroundings, base: &Url) -> Result<Option<Credentials>, Error> {
    let http = surroundings.http();
    let at = |path: &str| {
        let mut url = base.clone();
        url.set_path(path);
        url
    };
    let what = "start a session with the instance's metadata service";
    let mut call = Call::get(Provider::Aws, what, at("/latest/api/token"), FIX).at_metadata();
    call.method = Method::PUT;
    let call = call.header("x-aws-ec2-metadata-token-ttl-seconds", "300")?;
    let token = http.send(&call).await?;
    let token = surroundings.secret(String::from_utf8_lossy(&token).trim());
    let roles = "/latest/meta-data/iam/security-credentials/";
    let what = "get the role of the instance";
    let call = Call::get(Provider::Aws, what, at(roles), FIX)
        .at_metadata()
        .header("x-aws-ec2-metadata-token", token.expose())?;
    let role = http.send(&call).await?;
    let role = String::from_utf8_lossy(&role);
    let role = role.lines().next().unwrap_or_default().trim().to_owned();
    if role.is_empty() {
        return Ok(None);
    }
    let what = format!("get the credentials of the instance's role `{role}`");
    let call = Call::get(Provider::Aws, &what, at(&format!("{roles}{role}")), FIX)
        .at_metadata()
        .header("x-aws-ec2-metadata-token", token.expose())?;
    let answer: Answer = http.json(&call).await?;
    let source = format!("the instance's role `{role}`");
    answer
        .read(surroundings, source)
        .map(Some)
        .ok_or_else(|| call.useless("its time of expiration is not one"))
}
