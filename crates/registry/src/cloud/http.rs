//! One request to an identity service: bounded in time and size, without redirects, with the pod's CAs, names and proxies.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::{Error, Provider};
use crate::client::answer;
use crate::transport::{ClientConfig, plain_client};
use crate::{Operation, limits};

/// A metadata service is on this very machine; nobody is there when it takes longer.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(20);
/// Attempts in all, for answers that may be others the next time.
const ATTEMPTS: u32 = 3;

/// HTTP clients for identity services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    /// Through the pod's proxies.
    web: reqwest::Client,
    /// To this machine, never through a proxy.
    local: reqwest::Client,
    pause: Duration,
}

/// Where a request goes: by the proxies of the pod, or to this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Web,
    Metadata,
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) provider: Provider,
    /// `get an access token`
    pub(crate) what: &'a str,
    pub(crate) way: Way,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What to do when the answer is a refusal.
    pub(crate) fix: &'a str,
}

impl<'a> Call<'a> {
    pub(crate) fn get(provider: Provider, what: &'a str, url: Url, fix: &'a str) -> Self {
        Self {
            provider,
            what,
            way: Way::Web,
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            fix,
        }
    }

    /// A POST of a form.
    pub(crate) fn form(
        provider: Provider,
        what: &'a str,
        url: Url,
        pairs: &[(&str, &str)],
        fix: &'a str,
    ) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        let mut call = Self::get(provider, what, url, fix);
        call.method = Method::POST;
        call.body = body.into();
        call.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        call
    }

    pub(crate) const fn at_metadata(mut self) -> Self {
        self.way = Way::Metadata;
        self
    }

    /// A header, which no log shows.
    ///
    /// # Errors
    /// When the value holds line breaks or other control characters.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Result<Self, Error> {
        let mut value = HeaderValue::from_str(value).map_err(|_not_shown| {
            Error::configuration(
                self.provider,
                format!(
                    "{}: the value for the header `{name}` cannot be sent",
                    self.what
                ),
                "it must be one line of text",
            )
        })?;
        value.set_sensitive(true);
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    pub(crate) fn useless(&self, why: impl Into<String>) -> Error {
        Error::Answer {
            provider: self.provider,
            what: self.what.to_owned(),
            origin: self.origin(),
            why: why.into(),
        }
    }
}

impl Http {
    /// Clients with the CAs, names, proxies and `User-Agent` of `config`. Certificates are always verified, whatever is said of registries.
    ///
    /// # Errors
    /// As [`Client::start`](crate::Client::start).
    pub fn new(config: &ClientConfig) -> Result<Self, crate::Error> {
        Ok(Self {
            web: plain_client(config, true)?,
            local: plain_client(config, false)?,
            pause: config.retry.base,
        })
    }

    /// The body of a 2xx answer, after as many attempts as make sense.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Bytes, Error> {
        let mut attempt = 1;
        loop {
            let outcome = self.send_once(call).await;
            let again = attempt < ATTEMPTS
                && outcome
                    .as_ref()
                    .is_err_and(|error| call.may_be_other(error));
            if !again {
                return outcome;
            }
            tokio::time::sleep(self.pause * attempt).await;
            attempt += 1;
        }
    }

    /// The JSON of a 2xx answer.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Error> {
        let body = self.send(call).await?;
        // The parser's words are left out: they quote values.
        serde_json::from_slice(&body)
            .map_err(|_not_shown| call.useless("the answer is not the JSON that was expected"))
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<Bytes, Error> {
        let (client, patience) = match call.way {
            Way::Web => (&self.web, TIMEOUT),
            Way::Metadata => (&self.local, METADATA_TIMEOUT),
        };
        let no_answer = |source: crate::Error| Error::NoAnswer {
            provider: call.provider,
            what: call.what.to_owned(),
            origin: call.origin(),
            source: Arc::new(source),
        };
        let operation = Operation::at("ask", call.origin());
        let sending = client
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone())
            .body(call.body.clone())
            .send();
        let response = answer::within(patience, &operation, sending)
            .await
            .map_err(no_answer)?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(call, status, response, patience).await);
        }
        answer::body(response, limits::JSON, patience, &operation)
            .await
            .map_err(no_answer)
    }
}

impl Call<'_> {
    fn may_be_other(&self, error: &Error) -> bool {
        match error {
            Error::Refused { status, .. } => crate::retry::is_transient(*status),
            // Nobody is at a metadata address: that is an answer.
            Error::NoAnswer { .. } => self.way == Way::Web,
            Error::Configuration { .. }
            | Error::NoIdentity { .. }
            | Error::Read { .. }
            | Error::Answer { .. } => false,
        }
    }
}

async fn refusal(
    call: &Call<'_>,
    status: StatusCode,
    response: reqwest::Response,
    patience: Duration,
) -> Error {
    let said = answer::error_answer(response, String::new(), patience).await;
    Error::Refused {
        provider: call.provider,
        what: call.what.to_owned(),
        origin: call.origin(),
        status: status.as_u16(),
        message: words(&said.message, call),
        fix: call.fix.to_owned(),
    }
}

/// A provider's own words, without anything that was sent to it.
fn words(message: &str, call: &Call<'_>) -> String {
    let body = String::from_utf8_lossy(&call.body);
    let sent = url::form_urlencoded::parse(body.as_bytes()).map(|(_, value)| value.into_owned());
    let headers = call.headers.values().filter(|value| value.is_sensitive());
    let headers = headers.filter_map(|value| value.to_str().ok().map(str::to_owned));
    let mut message = message.to_owned();
    // Short values are names of grants and versions, not secrets.
    for value in sent.chain(headers).filter(|value| value.len() >= 16) {
        message = message.replace(&value, "…");
    }
    message.chars().take(400).collect()
}

/// Whether a secret may be sent to `url`: over HTTPS, or on this machine.
pub(crate) fn may_hold_secrets(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
