//! Uploads. distribution-spec v1.1 § Pushing Blobs.
//!
//! A layer is uploaded while it is made: one PATCH whose body is the growing spool, then a PUT with the digest that is
//! known by then. That is the path that most builders take, hence the one that registries support best.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use kigumi_oci::{Descriptor, Digest, Reference};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Body, Method, StatusCode};
use url::Url;

use super::request::{Answer, Request, refused};
use super::{Client, Endpoint, answer};
use crate::auth::Scopes;
use crate::transport::Direction;
use crate::{Error, Finished, Operation, Repository, Spool};

/// Bytes to upload, and where the registry may already have them.
#[derive(Clone, Debug)]
pub struct BlobSource {
    /// The bytes; the spool may still grow.
    pub spool: Spool,
    /// Repositories to mount from, best first; those of other registries are passed over.
    pub mount_from: Vec<Repository>,
}

/// What became of a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PushOutcome {
    /// The blob was there already.
    Existed,
    /// It was mounted from another repository.
    Mounted,
    /// It was uploaded.
    Uploaded {
        /// How many bytes it has.
        bytes: u64,
    },
}

/// One PATCH of unknown length, or one PUT of known length for registries that refuse it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Streamed,
    Monolithic,
}

/// Why an attempt did not succeed.
enum Setback {
    /// Try the same again, or give up, as the policy says.
    Failed(Error),
    /// The registry does not take a streamed PATCH.
    Refused(Error),
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// An open upload session.
struct Session {
    url: Url,
}

/// What one push needs everywhere.
struct Push<'a> {
    endpoint: &'a Endpoint,
    operation: &'a Operation,
    scopes: &'a Scopes,
    target: &'a Repository,
    source: &'a BlobSource,
}

impl<'a> Push<'a> {
    const fn asker(&self) -> (&'a Endpoint, &'a Operation, &'a Scopes) {
        (self.endpoint, self.operation, self.scopes)
    }

    fn failed_source(&self, source: crate::SpoolFailure) -> Error {
        Error::Source {
            operation: self.operation.clone(),
            source,
        }
    }

    fn finished(&self) -> Result<Option<Finished>, Error> {
        let finished = self.source.spool.try_finished();
        finished.map_err(|source| self.failed_source(source))
    }
}

impl Client {
    /// Brings a blob to a repository: not at all if it is there, by mounting if it is nearby, else by uploading it,
    /// even while it still grows. Attempts that fail are made again from the spool's beginning.
    ///
    /// # Errors
    /// What the registry says, or what the spool's writer failed with.
    pub async fn push_blob(
        &self,
        target: &Repository,
        source: &BlobSource,
    ) -> Result<PushOutcome, Error> {
        let what = match source.spool.try_finished() {
            Ok(Some(finished)) => format!("push blob {} to", finished.digest),
            // It has no digest yet.
            Ok(None) | Err(_) => "push a growing blob to".to_owned(),
        };
        let operation = Operation::new(what, target);
        let endpoint = self.endpoint(target, Direction::Push, &operation).await?;
        let scopes = Scopes::new(target, Direction::Push);
        let push = Push {
            endpoint: &endpoint,
            operation: &operation,
            scopes: &scopes,
            target,
            source,
        };
        let mut manner = Manner::Streamed;
        let mut made = 0;
        loop {
            made += 1;
            match self.push_once(&push, manner).await {
                Ok(outcome) => return Ok(outcome),
                Err(Setback::Refused(error)) if manner == Manner::Streamed => {
                    tracing::debug!(%error, "uploading in one PUT instead of a PATCH");
                    manner = Manner::Monolithic;
                    made = 0;
                }
                Err(Setback::Refused(error) | Setback::Failed(error)) => {
                    push.finished()?;
                    self.prepare_again(&push, made, error).await?;
                }
            }
        }
    }

    /// Waits before another attempt, or gives the error when there is none.
    async fn prepare_again(&self, push: &Push<'_>, made: u32, error: Error) -> Result<(), Error> {
        let code = error.answer().and_then(|answer| answer.code.as_deref());
        let lost = code == Some("BLOB_UPLOAD_UNKNOWN");
        let expired = error.status() == Some(401);
        if expired {
            // A token may expire in the middle of a long upload. A credential that is refused shows at the next POST.
            let forget = self.inner.authenticator.forget(push.endpoint, push.scopes);
            forget.await;
        }
        let may_help = lost || (expired && made == 1) || error.is_transient();
        if may_help {
            self.pause(made, error).await
        } else {
            Err(error)
        }
    }

    async fn push_once(&self, push: &Push<'_>, manner: Manner) -> Result<PushOutcome, Setback> {
        let mut session = None;
        if let Some(finished) = push.finished()? {
            if self.is_there(push.target, finished).await {
                return Ok(PushOutcome::Existed);
            }
            match self.mount_any(push, finished.digest).await {
                Mount::Done => return Ok(PushOutcome::Mounted),
                Mount::Upload(opened) => session = Some(opened),
                Mount::No => {}
            }
        }
        let session = match session {
            Some(session) => session,
            None => self.open(push).await?,
        };
        let finished = match manner {
            Manner::Streamed => self.patch_and_commit(push, session).await?,
            Manner::Monolithic => self.put(push, session).await?,
        };
        Ok(PushOutcome::Uploaded {
            bytes: finished.size,
        })
    }

    async fn is_there(&self, target: &Repository, finished: Finished) -> bool {
        // A registry that does not let us look may still let us push.
        let found = self
            .blob_size_as(target, finished.digest, Direction::Push)
            .await;
        matches!(found, Ok(Some(size)) if size == finished.size)
    }

    /// POST: opens an upload.
    async fn open(&self, push: &Push<'_>) -> Result<Session, Error> {
        let url = push.endpoint.url(push.target.name(), "blobs/uploads/");
        let request = empty(push.asker(), Method::POST, url);
        let answered = self.send(&request).await?;
        if answered.status() != StatusCode::ACCEPTED {
            return Err(self.status_error(&request, answered).await);
        }
        session(push.endpoint, push.operation, &answered)
    }

    async fn patch_and_commit(
        &self,
        push: &Push<'_>,
        session: Session,
    ) -> Result<Finished, Setback> {
        let mut request = Request::new(push.asker(), Method::PATCH, session.url.clone()).header(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        if let Some(finished) = push.finished()? {
            request = request.header(CONTENT_LENGTH, HeaderValue::from(finished.size));
        }
        let answered = self.send_spool(push, &request).await?;
        if !answered.status().is_success() {
            let error = self.status_error(&request, answered).await;
            return Err(if is_refusal(&error) {
                Setback::Refused(error)
            } else {
                Setback::Failed(error)
            });
        }
        let finished = push.source.spool.finished().await;
        let finished = finished.map_err(|source| push.failed_source(source))?;
        let session = match answered.header(LOCATION.as_str()) {
            Some(_) => self::session(push.endpoint, push.operation, &answered)?,
            None => session,
        };
        let url = with_digest(session.url, finished.digest);
        let mut request = empty(push.asker(), Method::PUT, url);
        // A registry may hash and move the whole blob before it answers.
        request.patience = Some(self.inner.config.timeouts.commit);
        let answered = self.send(&request).await?;
        self.committed(&request, answered, finished.digest).await?;
        Ok(finished)
    }

    /// The whole blob in the PUT that names its digest: the spool must have come to its end.
    async fn put(&self, push: &Push<'_>, session: Session) -> Result<Finished, Setback> {
        let finished = push.source.spool.finished().await;
        let finished = finished.map_err(|source| push.failed_source(source))?;
        let url = with_digest(session.url, finished.digest);
        let request = Request::new(push.asker(), Method::PUT, url)
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            )
            .header(CONTENT_LENGTH, HeaderValue::from(finished.size));
        let answered = self.send_spool(push, &request).await?;
        self.committed(&request, answered, finished.digest).await?;
        Ok(finished)
    }

    async fn committed(
        &self,
        request: &Request<'_>,
        answered: Answer,
        digest: Digest,
    ) -> Result<(), Error> {
        if !matches!(
            answered.status(),
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK
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

    /// Sends a request whose body is the spool. It stalls when the network takes nothing, not when the spool has nothing.
    async fn send_spool(&self, push: &Push<'_>, request: &Request<'_>) -> Result<Answer, Error> {
        let progress = Arc::new(Progress::new());
        let spool = &push.source.spool;
        let body = Body::wrap_stream(counted(spool.stream(), Arc::clone(&progress)));
        let url = request.url.clone();
        let authorization = self.authorization(request, &url).await?;
        let builder = self.builder(request, &url, authorization.as_ref()).await?;
        let timeouts = self.inner.config.timeouts;
        let response = tokio::select! {
            response = builder.body(body).send() => {
                response.map_err(|source| answer::transport(request.operation, source))?
            }
            after = progress.stalled(spool, timeouts.stall, timeouts.commit) => {
                return Err(Error::Stalled { operation: request.operation.clone(), after });
            }
        };
        Ok(Answer::new(response, url, authorization))
    }

    /// Mounts a blob of `from` in `to`; false when the registry does not.
    pub(super) async fn mount(
        &self,
        to: &Repository,
        descriptor: &Descriptor,
        from: &Repository,
    ) -> Result<bool, Error> {
        let what = format!("mount blob {} of `{from}` in", descriptor.digest);
        let operation = Operation::new(what, to);
        let endpoint = self.endpoint(to, Direction::Push, &operation).await?;
        let mounted = self.mount_one((&endpoint, &operation), to, descriptor.digest, from);
        match mounted.await {
            Ok(Mount::Done) => Ok(true),
            // The opened upload is left to the registry's housekeeping.
            Ok(Mount::Upload(_) | Mount::No) => Ok(false),
            Err(error) => {
                tracing::debug!(%error, "not mounted");
                Ok(false)
            }
        }
    }

    async fn mount_any(&self, push: &Push<'_>, digest: Digest) -> Mount {
        let (registry, operation) = (push.target.registry(), push.operation);
        let near = push.source.mount_from.iter();
        let near = near.filter(|from| from.registry() == registry && *from != push.target);
        for from in near {
            let asker = (push.endpoint, operation);
            match self.mount_one(asker, push.target, digest, from).await {
                Ok(Mount::No) => {}
                Ok(outcome) => return outcome,
                // T-PUSH-05, T-PUSH-06: a mount that is refused is an upload.
                Err(error) => tracing::debug!(%error, "not mounted"),
            }
        }
        Mount::No
    }

    async fn mount_one(
        &self,
        asker: (&Endpoint, &Operation),
        to: &Repository,
        digest: Digest,
        from: &Repository,
    ) -> Result<Mount, Error> {
        let (endpoint, operation) = asker;
        let scopes = Scopes::new(to, Direction::Push).and_pull(from);
        let mut url = endpoint.url(to.name(), "blobs/uploads/");
        url.query_pairs_mut()
            .append_pair("mount", &digest.to_string())
            .append_pair("from", from.name());
        let request = empty((endpoint, operation, &scopes), Method::POST, url);
        let answered = self.send(&request).await?;
        match answered.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => session(endpoint, operation, &answered).map(Mount::Upload),
            _ => Ok(Mount::No),
        }
    }

    /// Opens and cancels an upload, to know before a long build that its end will be allowed.
    ///
    /// # Errors
    /// What the registry says, and with which credentials it was asked.
    pub async fn check_push_permission(&self, reference: &Reference) -> Result<(), Error> {
        let target = Repository::of(reference);
        let operation = Operation::new("check the permission to push to", &target);
        let endpoint = self.endpoint(&target, Direction::Push, &operation).await?;
        let scopes = Scopes::new(&target, Direction::Push);
        let push = Push {
            endpoint: &endpoint,
            operation: &operation,
            scopes: &scopes,
            target: &target,
            source: &BlobSource {
                spool: Spool::of_bytes(Bytes::new()),
                mount_from: Vec::new(),
            },
        };
        let session = self.retrying(|| self.open(&push)).await?;
        let request = Request::new(push.asker(), Method::DELETE, session.url);
        if let Err(error) = self.send(&request).await {
            // Many registries cannot cancel; what was opened goes away by itself.
            tracing::debug!(%error, "the upload stays open");
        }
        Ok(())
    }
}

/// What became of a request to mount.
enum Mount {
    Done,
    /// The registry opened an upload instead.
    Upload(Session),
    No,
}

/// A request without a body that says so: some registries want a length with every POST and PUT.
fn empty<'a>(
    asker: (&'a Endpoint, &'a Operation, &'a Scopes),
    method: Method,
    url: Url,
) -> Request<'a> {
    Request::new(asker, method, url).header(CONTENT_LENGTH, HeaderValue::from_static("0"))
}

fn session(
    endpoint: &Endpoint,
    operation: &Operation,
    answered: &Answer,
) -> Result<Session, Error> {
    endpoint
        .follow(&answered.url, answered.header(LOCATION.as_str()))
        .map(|url| Session { url })
        .map_err(|reason| refused(operation, &answered.url, reason))
}

/// distribution-spec v1.1 § Pushing a blob in chunks: what the location's query has is kept.
fn with_digest(mut url: Url, digest: Digest) -> Url {
    url.query_pairs_mut()
        .append_pair("digest", &digest.to_string());
    url
}

/// Whether an answer to a PATCH means that another manner of upload may do: all that is the client's fault and neither a
/// question of permission, nor of patience, nor of a session that got lost.
fn is_refusal(error: &Error) -> bool {
    let Some(answer) = error.answer() else {
        return false;
    };
    let lost = answer.code.as_deref() == Some("BLOB_UPLOAD_UNKNOWN");
    let client = (400..500).contains(&answer.status) || answer.status == 501;
    client && !lost && !matches!(answer.status, 401 | 403 | 408 | 425 | 429)
}

/// How far a body has got.
struct Progress {
    handed: AtomicU64,
    ended: AtomicBool,
    last: Mutex<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self {
            handed: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            last: Mutex::new(Instant::now()),
        }
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// Comes back when nothing has moved for too long though there was something to move.
    async fn stalled(&self, spool: &Spool, stall: Duration, commit: Duration) -> Duration {
        loop {
            let limit = if self.ended.load(Ordering::Acquire) {
                commit
            } else {
                stall
            };
            let waits_for_spool = !self.ended.load(Ordering::Acquire)
                && spool.written() <= self.handed.load(Ordering::Acquire)
                && matches!(spool.try_finished(), Ok(None));
            if waits_for_spool {
                self.touch();
            } else if self.idle() >= limit {
                return limit;
            }
            tokio::time::sleep((stall / 8).clamp(Duration::from_millis(5), Duration::from_secs(5)))
                .await;
        }
    }
}

fn counted(
    stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    progress: Arc<Progress>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let at_end = Arc::clone(&progress);
    let end = futures_util::stream::poll_fn(move |_| {
        at_end.ended.store(true, Ordering::Release);
        at_end.touch();
        std::task::Poll::Ready(None)
    });
    stream
        .inspect(move |chunk| {
            let count = chunk.as_ref().map_or(0, Bytes::len) as u64;
            progress.handed.fetch_add(count, Ordering::AcqRel);
            progress.touch();
        })
        .chain(end)
}
