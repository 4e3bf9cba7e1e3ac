//! One request with everything around it: authorization, redirects, refusals.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use url::Url;

use super::{Client, Endpoint, answer};
use crate::auth::{Asker, Authorization, Scopes};
use crate::{Error, Operation, limits};

/// How often a request is sent again because of a 401: the first challenge, a stale token, and a few credentials.
const AUTHORIZATIONS: usize = 6;

/// A request that can be sent again.
#[derive(Clone)]
pub(super) struct Request<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) operation: &'a Operation,
    pub(super) scopes: &'a Scopes,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// How long to wait for the answer, where that is not as long as for any other.
    pub(super) patience: Option<Duration>,
}

/// An answer and what is needed to speak about it.
pub(super) struct Answer {
    pub(super) response: Response,
    /// Where it came from in the end.
    pub(super) url: Url,
    authorization: Option<Authorization>,
}

impl Answer {
    pub(super) fn new(response: Response, url: Url, authorization: Option<Authorization>) -> Self {
        Self {
            response,
            url,
            authorization,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.response.headers().get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.header(name)?.to_str().ok()
    }
}

impl<'a> Request<'a> {
    pub(super) fn new(
        asker: (&'a Endpoint, &'a Operation, &'a Scopes),
        method: Method,
        url: Url,
    ) -> Self {
        let (endpoint, operation, scopes) = asker;
        Self {
            endpoint,
            operation,
            scopes,
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            patience: None,
        }
    }

    pub(super) fn header(mut self, name: reqwest::header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) const fn asker(&self) -> Asker<'a> {
        Asker {
            endpoint: self.endpoint,
            operation: self.operation,
            scopes: self.scopes,
        }
    }
}

impl Client {
    /// Sends a request, answers challenges, follows the redirects of reads. Any status but a 401 that can be answered comes back.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let mut answered = self.send_once(request).await?;
        for _ in 0..AUTHORIZATIONS {
            let refused = answered.status() == StatusCode::UNAUTHORIZED
                && request.endpoint.is_ours(&answered.url);
            if !refused || !self.learn(request, &answered).await? {
                break;
            }
            answered = self.send_once(request).await?;
        }
        Ok(answered)
    }

    /// Learns from a 401; whether another attempt may do better.
    pub(super) async fn learn(
        &self,
        request: &Request<'_>,
        answered: &Answer,
    ) -> Result<bool, Error> {
        let headers = answered.response.headers().get_all(WWW_AUTHENTICATE);
        let headers: Vec<String> = headers
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect();
        let used = answered.authorization.as_ref();
        self.inner
            .authenticator
            .reject(request.asker(), used, &headers)
            .await
    }

    async fn send_once(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let mut url = request.url.clone();
        let mut authorization = self.authorization(request, &url).await?;
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        for _ in 0..=limits::REDIRECTS {
            let builder = self.builder(request, &url, authorization.as_ref()).await?;
            let patience = request.patience;
            let patience = patience.unwrap_or(self.inner.config.timeouts.stall);
            let sending = builder.body(request.body.clone()).send();
            let response = answer::within(patience, request.operation, sending).await?;
            let status = response.status();
            // RFC 9110 § 15.4: only these two keep the method of a request that changes something.
            let follows = reads || matches!(status.as_u16(), 307 | 308);
            if !follows || !is_redirect(status) {
                return Ok(Answer::new(response, url, authorization));
            }
            let location = response.headers().get(LOCATION);
            let next = request
                .endpoint
                .follow(&url, location)
                .map_err(|reason| refused(request.operation, &url, reason))?;
            // Once away from the registry, credentials stay behind, even if the way leads back.
            if !request.endpoint.is_ours(&next) {
                authorization = None;
            }
            url = next;
        }
        Err(Error::Protocol {
            operation: request.operation.clone(),
            what: format!("more than {} redirects", limits::REDIRECTS),
        })
    }

    /// What goes with a request to `url`: nothing for anybody but the registry itself.
    pub(super) async fn authorization(
        &self,
        request: &Request<'_>,
        url: &Url,
    ) -> Result<Option<Authorization>, Error> {
        if !request.endpoint.is_ours(url) {
            return Ok(None);
        }
        self.inner.authenticator.authorize(request.asker()).await
    }

    pub(super) async fn builder(
        &self,
        request: &Request<'_>,
        url: &Url,
        authorization: Option<&Authorization>,
    ) -> Result<RequestBuilder, Error> {
        let client = request
            .endpoint
            .client_for(url)
            .await
            .map_err(|reason| refused(request.operation, url, reason))?;
        let mut builder = client
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone());
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization.header.clone());
        }
        Ok(builder)
    }

    /// The error that an answer is.
    pub(super) async fn status_error(&self, request: &Request<'_>, answered: Answer) -> Error {
        let label = answered.authorization.as_ref().map_or_else(
            || "sent without credentials".to_owned(),
            |authorization| authorization.label.clone(),
        );
        let stall = self.inner.config.timeouts.stall;
        let mut said = answer::error_answer(answered.response, label, stall).await;
        if let Some(authorization) = &answered.authorization {
            said.message = authorization.redact(&said.message);
        }
        Error::Status {
            operation: request.operation.clone(),
            answer: Box::new(said),
        }
    }
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The refusal to go to `url`, which is shown without its query: that may be a signature.
pub(crate) fn refused(operation: &Operation, url: &Url, reason: &str) -> Error {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    Error::RefusedUrl {
        operation: operation.clone(),
        url: format!("`{shown}`"),
        reason: reason.to_owned(),
    }
}
