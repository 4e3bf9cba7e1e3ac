//! The registry client.

pub(crate) mod answer;
mod artifact;
mod attempts;
mod copy;
mod endpoint;
mod manifest;
mod places;
mod pull;
mod push;
mod request;
mod resolve;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex as StdMutex};

use reqwest::StatusCode;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

pub(crate) use endpoint::{Endpoint, class_of};
pub use push::{BlobSource, PushOutcome};
pub(crate) use request::{is_redirect, refused};
pub use resolve::ResolvedImage;
pub(crate) use resolve::{Walk, check_config_type, check_layers, describe};

use crate::auth::Authenticator;
use crate::transport::{ClientConfig, Direction, Transports};
use crate::{Error, Operation, Registry, Repository};
use attempts::Attempts;

/// Speaks to registries. Cheap to clone; all clones share connections, tokens and what was learnt.
///
/// All methods must run within a tokio runtime with timers and I/O.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

/// An endpoint from the moment that somebody has tried it out.
type FoundEndpoint = Arc<OnceCell<Arc<Endpoint>>>;

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    transports: Transports,
    authenticator: Authenticator,
    endpoints: Mutex<HashMap<(Registry, Direction), FoundEndpoint>>,
    /// In which place a repository was found, where it has routes.
    found: StdMutex<HashMap<Repository, Repository>>,
}

impl Client {
    /// Builds a client with everything it will need: after this, nothing of the filesystem is read for it.
    ///
    /// # Errors
    /// [`Error::Certificates`] for a bundle that is not PEM, [`Error::Setup`] for a proxy that is no URL.
    pub async fn start(config: ClientConfig) -> Result<Self, Error> {
        let transports = Transports::build(&config)?;
        transports.warm_up().await;
        let authenticator = Authenticator::new(Arc::clone(&config.keychain), config.timeouts);
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                transports,
                authenticator,
                endpoints: Mutex::default(),
                found: StdMutex::default(),
            }),
        })
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    pub(crate) fn transports(&self) -> &Transports {
        &self.inner.transports
    }

    /// How `repository`'s registry is reached; tried out once.
    async fn endpoint(
        &self,
        repository: &Repository,
        direction: Direction,
        operation: &Operation,
    ) -> Result<Arc<Endpoint>, Error> {
        let key = (repository.registry().clone(), direction);
        let cell = {
            let mut endpoints = self.inner.endpoints.lock().await;
            Arc::clone(endpoints.entry(key).or_default())
        };
        let registry = repository.registry();
        let finding = || async {
            self.retrying(operation, || {
                self.find_endpoint(registry, direction, operation)
            })
            .await
            .map(Arc::new)
        };
        cell.get_or_try_init(finding).await.map(Arc::clone)
    }

    async fn find_endpoint(
        &self,
        registry: &Registry,
        direction: Direction,
        operation: &Operation,
    ) -> Result<Endpoint, Error> {
        let config = &self.inner.config;
        let protocol = |what: String| Error::Protocol {
            operation: operation.clone(),
            what,
        };
        let transports = &self.inner.transports;
        let transport = transports
            .get(config, registry, direction)
            .ok_or_else(|| protocol("there is no transport for it".to_owned()))?;
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{registry}/"))
                .map_err(|error| protocol(format!("`{registry}` is no host: {error}")))
        };
        let at = |base: Url| {
            let names = Arc::clone(&transports.names);
            Endpoint::new(registry.clone(), base, Arc::clone(&transport), names)
        };
        let https = at(parse("https")?);
        if !config.allows_http(registry, direction) {
            return Ok(https);
        }
        // COMPAT(kaniko): `--insecure` allows HTTP, it does not forbid HTTPS.
        let secure = match self.knock(&https, operation).await {
            Ok(_) => return Ok(https),
            // It speaks TLS, and we do not like how: that is to be said, not to be got around.
            Err(error) if error.is_settled() => return Err(error),
            Err(error) => error,
        };
        let http = at(parse("http")?);
        match self.knock(&http, operation).await {
            // What a server of HTTPS says to HTTP.
            Ok(StatusCode::BAD_REQUEST) | Err(_) => Err(secure),
            Ok(_) => Ok(http),
        }
    }

    /// What answers at `/v2/`. No credential is sent.
    async fn knock(&self, endpoint: &Endpoint, operation: &Operation) -> Result<StatusCode, Error> {
        let mut url = endpoint.base().clone();
        url.set_path("/v2/");
        let sending = endpoint.transport().direct().get(url).send();
        let patience = self.inner.config.timeouts.connect;
        let answered = answer::within(patience, operation, sending).await?;
        Ok(answered.status())
    }

    /// Tries again what may work the next time, as the policy says, and tells.
    pub(crate) async fn retrying<T, F>(
        &self,
        operation: &Operation,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut attempts = self.attempts(operation);
        loop {
            match attempt().await {
                Err(error) if error.is_transient() => attempts.pause(error).await?,
                outcome => {
                    attempts.ended(outcome.is_ok());
                    return outcome;
                }
            }
        }
    }

    fn attempts<'a>(&self, operation: &'a Operation) -> Attempts<'a> {
        Attempts::new(self.inner.config.retry, operation)
    }
}
