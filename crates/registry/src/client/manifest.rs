use kigumi_oci::{Descriptor, Digest, Document, MediaType, Reference};
use oci_client::RegistryOperation;
use oci_client::secrets::RegistryAuth;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};

use super::request::Request;
use super::{Client, answer};
use crate::auth::Scopes;
use crate::transport::Direction;
use crate::{Error, Operation, Repository, limits};

/// Every kind of document that can be built on; a registry converts to none of them on its own.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

impl Client {
    /// Pushes a manifest or an index, byte for byte. What it refers to must be there already: that order is the caller's.
    ///
    /// With a tag in the reference it goes to the tag, else to its digest.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<Digest, Error> {
        let repository = Repository::of(reference);
        let digest = Digest::of(bytes);
        let target = reference
            .tag()
            .map_or_else(|| digest.to_string(), str::to_owned);
        let operation = Operation::new(format!("push manifest `{target}` to"), &repository);
        let endpoint = self
            .endpoint(&repository, Direction::Push, &operation)
            .await?;
        let scopes = Scopes::new(&repository, Direction::Push);
        let url = endpoint.url(repository.name(), &format!("manifests/{target}"));
        let content_type =
            HeaderValue::from_str(media_type.as_ref()).map_err(|_| Error::Protocol {
                operation: operation.clone(),
                what: format!("`{media_type}` is not a media type"),
            })?;
        let mut request = Request::new((&endpoint, &operation, &scopes), Method::PUT, url)
            .header(CONTENT_TYPE, content_type.clone());
        request.body = bytes.to_vec().into();
        if let Some(tag) = reference.tag()
            && self.push_by_oci_client(&request, tag, content_type).await?
        {
            return Ok(digest);
        }
        let putting = self.retrying(&operation, || self.put_manifest(&request, digest));
        match (putting.await, reference.tag()) {
            (Ok(()), _) => Ok(digest),
            (Err(error), Some(_)) if self.is_named_already(&request, &error, digest).await => {
                tracing::info!("{error}; the tag names {digest} already");
                Ok(digest)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Whether a repository has a manifest, and so everything that it refers to. A registry that does not say has none.
    pub async fn has_manifest(&self, repository: &Repository, digest: Digest) -> bool {
        let operation = Operation::new(format!("look for manifest {digest} in"), repository);
        let Ok(endpoint) = self.endpoint(repository, Direction::Push, &operation).await else {
            return false;
        };
        let scopes = Scopes::new(repository, Direction::Push);
        let url = endpoint.url(repository.name(), &format!("manifests/{digest}"));
        let request = Request::new((&endpoint, &operation, &scopes), Method::HEAD, url)
            .header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let answered = self.send(&request).await;
        answered.is_ok_and(|answered| answered.status() == StatusCode::OK)
    }

    /// Whether a tag that may not be moved names what it should: a build that is made again pushes the same image.
    async fn is_named_already(&self, pushed: &Request<'_>, error: &Error, digest: Digest) -> bool {
        // What registries answer for tags that may not be moved, among other reasons.
        if !matches!(error.status(), Some(400 | 403 | 405 | 409 | 412)) {
            return false;
        }
        let asker = (pushed.endpoint, pushed.operation, pushed.scopes);
        let request = Request::new(asker, Method::GET, pushed.url.clone())
            .header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let found = self.retrying(pushed.operation, || self.get_document(&request));
        let found = found.await;
        found.is_ok_and(|(_, body)| Digest::of(&body) == digest)
    }

    /// Pushes by tag through `oci-client`. False when our own request has to do it: whenever anything at all went wrong, since
    /// that crate keeps statuses, `Retry-After` and challenges to itself. Putting the same bytes twice does no harm.
    async fn push_by_oci_client(
        &self,
        request: &Request<'_>,
        tag: &str,
        content_type: HeaderValue,
    ) -> Result<bool, Error> {
        let endpoint = request.endpoint;
        let Some(clients) = &endpoint.transport().oci else {
            return Ok(false);
        };
        let authorization = self.authorization(request, &request.url).await?;
        let client = clients.by_scheme(endpoint.base().scheme());
        let name = request.scopes.target.name().to_owned();
        let registry = endpoint.registry().authority().to_owned();
        let image = Reference::with_tag(registry, name, tag.to_owned());
        if let Some(authorization) = &authorization {
            // Its cache is looked at only for registries that it has some authentication for. Without that it sends no
            // credentials and asks for none, which is right where nobody has challenged us.
            let registry = image.resolve_registry();
            client
                .store_auth_if_needed(registry, &RegistryAuth::Anonymous)
                .await;
            let token = authorization.for_oci_client();
            client
                .tokens
                .insert(&image, RegistryOperation::Push, token)
                .await;
        }
        let pushing = client.push_manifest_raw(&image, request.body.clone(), content_type);
        let patience = self.inner.config.timeouts.stall;
        match tokio::time::timeout(patience, pushing).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => {
                let text = error.to_string();
                let error = authorization.map_or_else(|| text.clone(), |used| used.redact(&text));
                tracing::debug!(error, "pushing the manifest by our own request");
                Ok(false)
            }
            Err(_) => Ok(false),
        }
    }

    async fn put_manifest(&self, request: &Request<'_>, digest: Digest) -> Result<(), Error> {
        let answered = self.send(request).await?;
        if !matches!(
            answered.status(),
            StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED
        ) {
            return Err(self.status_error(request, answered).await);
        }
        match answered.text("docker-content-digest") {
            Some(stored) if stored != digest.to_string() => Err(Error::Protocol {
                operation: request.operation.clone(),
                what: format!("{digest} was sent, the registry says that it stored `{stored}`"),
            }),
            _ => Ok(()),
        }
    }

    /// A manifest or index by tag or digest, as it came: bounded in size, and verified where the digest is known.
    pub(super) async fn fetch_document(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<Document, Error> {
        let operation =
            Operation::new(format!("fetch manifest `{}` of", target.text()), repository);
        let endpoint = self
            .endpoint(repository, Direction::Pull, &operation)
            .await?;
        let scopes = Scopes::new(repository, Direction::Pull);
        let url = endpoint.url(repository.name(), &format!("manifests/{}", target.text()));
        let request = Request::new((&endpoint, &operation, &scopes), Method::GET, url)
            .header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let (content_type, body) = self
            .retrying(&operation, || self.get_document(&request))
            .await?;
        let content = |source| Error::Content {
            operation: operation.clone(),
            source,
        };
        target.check(&operation, &body)?;
        Document::parse(content_type.as_deref(), body.into()).map_err(content)
    }

    pub(super) async fn get_document(
        &self,
        request: &Request<'_>,
    ) -> Result<(Option<String>, bytes::Bytes), Error> {
        let answered = self.send(request).await?;
        if answered.status() != StatusCode::OK {
            return Err(self.status_error(request, answered).await);
        }
        let content_type = answered.text(CONTENT_TYPE.as_str()).map(str::to_owned);
        let claimed = answered.text("docker-content-digest").map(str::to_owned);
        let stall = self.inner.config.timeouts.stall;
        let body = answer::body(
            answered.response,
            limits::MANIFEST,
            stall,
            request.operation,
        )
        .await?;
        // distribution-spec v1.1 § Pulling manifests: the header is optional, and a wrong one means that something is broken.
        if let Some(Ok(expected)) = claimed.map(|text| text.parse::<Digest>()) {
            check_digest(request.operation, expected, &body)?;
        }
        Ok((content_type, body))
    }
}

/// What is asked for.
pub(super) enum Target {
    Tag(String),
    Digest(Digest),
    Descriptor(Box<Descriptor>),
}

impl Target {
    /// The digest of `reference` if it has one, else its tag.
    pub(super) fn of(reference: &Reference) -> Result<Self, Error> {
        match reference.digest() {
            Some(digest) => digest
                .parse()
                .map(Self::Digest)
                .map_err(|source| Error::Reference {
                    reference: reference.whole(),
                    source,
                }),
            None => Ok(Self::Tag(reference.tag().unwrap_or("latest").to_owned())),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Tag(tag) => tag.clone(),
            Self::Digest(digest) => digest.to_string(),
            Self::Descriptor(descriptor) => descriptor.digest.to_string(),
        }
    }

    pub(super) fn check(&self, operation: &Operation, body: &[u8]) -> Result<(), Error> {
        match self {
            Self::Tag(_) => Ok(()),
            Self::Digest(digest) => check_digest(operation, *digest, body),
            Self::Descriptor(descriptor) => super::pull::verify(operation, descriptor, body),
        }
    }
}

fn check_digest(operation: &Operation, expected: Digest, body: &[u8]) -> Result<(), Error> {
    let actual = Digest::of(body);
    if actual == expected {
        return Ok(());
    }
    Err(Error::Content {
        operation: operation.clone(),
        source: kigumi_oci::Error::DigestMismatch { expected, actual },
    })
}
