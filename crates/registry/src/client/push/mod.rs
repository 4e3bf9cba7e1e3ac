//! Uploads. distribution-spec v1.1 § Pushing Blobs.
//!
//! A layer is uploaded while it is made: one PATCH whose body is the growing spool, then a PUT with the digest that is
//! known by then. That is the path that most builders take, hence the one that registries support best.
//!
//! An upload that breaks goes on where the registry says that it stands. Many registries do not say, some say what is not true: there the
//! blob is sent again from its beginning, which is in the spool.

mod mount;
mod progress;
mod session;

use bytes::Bytes;
use kigumi_oci::Reference;
use reqwest::Method;

use super::attempts::Part;
use super::request::Request;
use super::{Client, Endpoint};
use crate::auth::Scopes;
use crate::transport::Direction;
use crate::{Error, Finished, Operation, Repository, Spool};
use mount::Mount;
use session::{Course, Manner};

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

/// Why an attempt did not succeed.
enum Setback {
    /// Try the same again, or give up, as the policy says.
    Failed(Error),
    /// The registry does not take a streamed PATCH.
    Refused(Error),
    /// The registry does not take up what it said that it has.
    NotResumed(Error),
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
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
    /// Brings a blob to a repository: not at all if it is there, by mounting if it is nearby, else by uploading it, even while it still
    /// grows. An upload that breaks goes on where it broke if the registry can do that, else it is made again from the spool's beginning.
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
        let mut course = Course::default();
        let mut attempts = self.attempts(&operation);
        loop {
            let error = match self.push_once(&push, &mut course).await {
                Ok(outcome) => {
                    attempts.ended(true);
                    return Ok(outcome);
                }
                Err(Setback::Refused(error)) if course.manner == Manner::Streamed => {
                    tracing::info!("{error}; uploading in one PUT instead of a PATCH");
                    course.manner = Manner::Monolithic;
                    attempts.begin_again();
                    continue;
                }
                Err(Setback::NotResumed(error)) => {
                    tracing::info!("{error}; uploading from the beginning");
                    course.resumes = false;
                    continue;
                }
                Err(Setback::Refused(error) | Setback::Failed(error)) => error,
            };
            push.finished()?;
            if !self.may_help(&push, &mut course, &error).await {
                return Err(error);
            }
            if course.advanced {
                attempts.begin_again();
            }
            attempts.pause_in(course.part, error).await?;
        }
    }

    /// Whether another attempt may do better, after what can be done for that.
    async fn may_help(&self, push: &Push<'_>, course: &mut Course, error: &Error) -> bool {
        let code = error.answer().and_then(|answer| answer.code.as_deref());
        let lost = code == Some("BLOB_UPLOAD_UNKNOWN");
        let expired = error.status() == Some(401);
        if expired {
            // A token may expire in the middle of a long upload. A credential that is refused shows at the next request.
            let forget = self.inner.authenticator.forget(push.endpoint, push.scopes);
            forget.await;
        }
        let denied_before = std::mem::replace(&mut course.denied, expired);
        lost || (expired && !denied_before) || error.is_transient()
    }

    async fn push_once(
        &self,
        push: &Push<'_>,
        course: &mut Course,
    ) -> Result<PushOutcome, Setback> {
        course.part = Part::Opening;
        if let Some((session, offset)) = self.resumable(push, course).await {
            tracing::info!("{}: going on at byte {offset}", push.operation);
            let uploaded = self.upload(push, course, session, offset).await;
            return uploaded.map_err(not_resumed);
        }
        let mut opened = None;
        if let Some(finished) = push.finished()? {
            if self.is_there(push.target, finished).await {
                return Ok(PushOutcome::Existed);
            }
            match self.mount_any(push, finished.digest).await {
                Mount::Done => return Ok(PushOutcome::Mounted),
                Mount::Upload(session) => opened = Some(session),
                Mount::No => {}
            }
        }
        let session = match opened {
            Some(session) => session,
            None => self.open(push).await?,
        };
        self.upload(push, course, session, 0).await
    }

    async fn is_there(&self, target: &Repository, finished: Finished) -> bool {
        // A registry that does not let us look may still let us push.
        let found = self
            .blob_size_as(target, finished.digest, Direction::Push)
            .await;
        matches!(found, Ok(Some(size)) if size == finished.size)
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
        let session = self.retrying(&operation, || self.open(&push)).await?;
        let request = Request::new(push.asker(), Method::DELETE, session.url().clone());
        if let Err(error) = self.send(&request).await {
            // Many registries cannot cancel; what was opened goes away by itself.
            tracing::debug!(%error, "the upload stays open");
        }
        Ok(())
    }
}

/// What a setback means when an upload was taken up again: a refusal is one of that.
fn not_resumed(setback: Setback) -> Setback {
    match setback {
        Setback::Failed(error) | Setback::Refused(error) | Setback::NotResumed(error) => {
            let refused = error.status().is_some_and(|status| status != 401);
            if refused && !error.is_transient() {
                Setback::NotResumed(error)
            } else {
                Setback::Failed(error)
            }
        }
    }
}
