//! `AssumeRole`: the credentials of a role for those of somebody who may have it.

use std::time::SystemTime;

use reqwest::header::CONTENT_TYPE;
use url::Url;

use super::profile::Profile;
use super::{Credentials, SigningRequest, sign, sts};
use crate::cloud::http::Call;
use crate::cloud::{Error, Provider, Surroundings};

const FIX: &str = "let the role's trust policy name who assumes it (and the external id, if it wants one), and allow that one `sts:AssumeRole`";
/// What STS takes, in seconds.
const DURATION: std::ops::RangeInclusive<u32> = 900..=43_200;

/// A role of a profile.
#[derive(Debug)]
pub(super) struct Role {
    arn: String,
    session: String,
    external_id: Option<String>,
    duration: Option<u32>,
    profile: String,
}

impl Role {
    /// `role_arn` and what goes with it.
    pub(super) fn of(profile: &Profile) -> Result<Self, Error> {
        if profile.get("mfa_serial").is_some() {
            return Err(profile.wrong(
                "has `mfa_serial` (a code that a person types), which is not supported",
                "use a role that needs none",
            ));
        }
        let duration = profile.get("duration_seconds").map(str::parse::<u32>);
        let duration = match duration {
            None => None,
            Some(Ok(seconds)) if DURATION.contains(&seconds) => Some(seconds),
            Some(_) => {
                return Err(profile.wrong(
                    "has a duration_seconds that STS does not take",
                    "it is a number from 900 to 43200",
                ));
            }
        };
        let text = |name| profile.get(name).map(str::to_owned);
        Ok(Self {
            arn: text("role_arn").unwrap_or_default(),
            session: text("role_session_name").unwrap_or_else(|| "kigumi".to_owned()),
            external_id: text("external_id"),
            duration,
            profile: profile.title(),
        })
    }

    #[cfg(test)]
    pub(super) fn arn(&self) -> &str {
        &self.arn
    }

    /// Asks STS for the role's credentials, as `who`.
    pub(super) async fn assume(
        &self,
        surroundings: &Surroundings,
        (endpoint, region): (Url, &str),
        who: &Credentials,
    ) -> Result<Credentials, Error> {
        let what = format!("assume the role `{}` as {}", self.arn, who.source);
        let duration = self.duration.map(|seconds| seconds.to_string());
        let mut pairs = vec![
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.arn),
            ("RoleSessionName", &self.session),
        ];
        pairs.extend(self.external_id.as_deref().map(|id| ("ExternalId", id)));
        pairs.extend(duration.as_deref().map(|text| ("DurationSeconds", text)));
        let mut call = Call::form(Provider::Aws, &what, endpoint, &pairs, FIX);
        let content = call.headers.get(CONTENT_TYPE);
        let content = content.and_then(|value| value.to_str().ok());
        let request = SigningRequest {
            method: "POST",
            url: &call.url,
            headers: &[("content-type", content.unwrap_or_default())],
            body: Some(&call.body),
            service: "sts",
            region,
        };
        let signed = sign(&request, who, SystemTime::now());
        call.headers.extend(signed);
        let body = surroundings.http().send(&call).await?;
        let source = format!("the role `{}` of {}", self.arn, self.profile);
        sts::read(surroundings, &String::from_utf8_lossy(&body), source)
            .ok_or_else(|| call.useless("the answer holds no credentials"))
    }
}
