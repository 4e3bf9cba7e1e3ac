//! Single requests for protocols of others (git's): no redirect is followed, and any status is an answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use url::{Host, Url};

use crate::client::{Client, answer, class_of, refused};
use crate::transport::dns::is_allowed;
use crate::{Error, Operation};

/// One request.
#[expect(
    missing_debug_implementations,
    reason = "it holds a credential, and nobody prints it"
)]
pub struct WebRequest<'a> {
    /// Where to.
    pub url: &'a Url,
    /// Name and value of each header but `Authorization`.
    pub headers: Vec<(String, String)>,
    /// The value of `Authorization`.
    pub authorization: Option<&'a str>,
    /// The body of a POST; without one it is a GET.
    pub body: Option<Bytes>,
    /// Who sends us there, where it is not the user: it may not point to what only we can reach.
    pub sent_by: Option<&'a Url>,
}

/// What a server answers.
#[derive(Debug)]
pub struct WebAnswer {
    /// The status.
    pub status: u16,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Location`
    pub location: Option<String>,
    /// The body.
    pub body: WebBody,
}

/// A body that comes in pieces.
#[derive(Debug)]
pub struct WebBody {
    response: Response,
    operation: Operation,
    stall: Duration,
}

impl WebBody {
    pub(super) const fn new(response: Response, operation: Operation, stall: Duration) -> Self {
        Self {
            response,
            operation,
            stall,
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Transport`], [`Error::Stalled`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        answer::chunk(&mut self.response, self.stall, &self.operation).await
    }
}

impl Client {
    /// Sends one request. What may be otherwise the next time, because no answer came, is tried again.
    ///
    /// # Errors
    /// When there is no answer, or there may be none from that address.
    pub async fn exchange(&self, request: &WebRequest<'_>) -> Result<WebAnswer, Error> {
        let mut shown = request.url.clone();
        shown.set_query(None);
        let operation = Operation::at("ask", shown.to_string());
        let headers = headers(&operation, request)?;
        let home = request.sent_by.unwrap_or(request.url);
        let stall = self.config().timeouts.stall;
        let response = self
            .retrying(&operation, || async {
                let client = self.web_client(home, request.url).await;
                let client = client.map_err(|reason| refused(&operation, request.url, reason))?;
                let sending = match &request.body {
                    Some(body) => client.post(request.url.clone()).body(body.clone()),
                    None => client.get(request.url.clone()),
                };
                let sending = sending.headers(headers.clone());
                answer::within(stall, &operation, sending.send()).await
            })
            .await?;
        let text = |name| {
            let value: Option<&HeaderValue> = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        Ok(WebAnswer {
            status: response.status().as_u16(),
            content_type: text(CONTENT_TYPE),
            location: text(LOCATION),
            body: WebBody::new(response, operation, stall),
        })
    }

    /// The addresses of a host that a protocol of its own is spoken to; `sent_by` as for a request. Proxies have no part in this.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the name is unknown, or at an address where `sent_by` may not send us.
    pub async fn resolve_host(
        &self,
        host: &str,
        sent_by: Option<&Url>,
    ) -> Result<Vec<IpAddr>, Error> {
        let operation = Operation::at("find", host.to_owned());
        let protocol = |what: String| Error::Protocol {
            operation: operation.clone(),
            what,
        };
        let names = Arc::clone(&self.transports().names);
        let addresses = match Host::parse(host) {
            Ok(Host::Ipv4(address)) => vec![address.into()],
            Ok(Host::Ipv6(address)) => vec![address.into()],
            Ok(Host::Domain(name)) => names
                .lookup(&name)
                .await
                .map_err(|error| protocol(error.to_string()))?,
            Err(error) => return Err(protocol(error.to_string())),
        };
        if let Some(home) = sent_by
            && home.host_str() != Some(host)
        {
            let class = class_of(home, &names).await;
            if let Some(address) = addresses.iter().find(|at| !is_allowed(**at, class)) {
                let what = format!("it is at {address}, where `{home}` may not send us");
                return Err(protocol(what));
            }
        }
        Ok(addresses)
    }
}

fn headers(operation: &Operation, request: &WebRequest<'_>) -> Result<HeaderMap, Error> {
    let malformed = |what: String| Error::Protocol {
        operation: operation.clone(),
        what,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let parsed = name.parse::<HeaderName>().ok().zip(value.parse().ok());
        let (name, value) = parsed.ok_or_else(|| malformed(format!("header `{name}`")))?;
        headers.insert(name, value);
    }
    if let Some(authorization) = request.authorization {
        let value = HeaderValue::from_str(authorization);
        // The error would show it.
        let mut value = value.map_err(|_| malformed("header `authorization`".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}
