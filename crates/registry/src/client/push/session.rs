//! Upload sessions: opened, filled, taken up again, committed.

use std::sync::Arc;

use kigumi_oci::Digest;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::{Body, Method, StatusCode};
use url::Url;

use super::progress::{Progress, counted};
use super::{Push, PushOutcome, Setback};
use crate::auth::Scopes;
use crate::client::attempts::Part;
use crate::client::pull::PROGRESS;
use crate::client::request::{Answer, Request, refused};
use crate::client::{Client, Endpoint, answer};
use crate::{Error, Finished, Operation, limits, retry};

/// An open upload session.
#[derive(Clone)]
pub(super) struct Session {
    url: Url,
}

impl Session {
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }
}

/// One PATCH of unknown length, or one PUT of known length for registries that refuse it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Manner {
    #[default]
    Streamed,
    Monolithic,
}

/// How a push goes, from attempt to attempt.
pub(super) struct Course {
    pub(super) manner: Manner,
    /// Whether the registry is trusted to take up what broke.
    pub(super) resumes: bool,
    /// Whether the last attempt ended with a 401.
    pub(super) denied: bool,
    /// Where the attempt stands.
    pub(super) part: Part,
    /// The session of the last attempt.
    broken: Option<Session>,
    /// How many bytes of the blob it was given.
    handed: u64,
    /// The offset behind which an attempt has not begun yet.
    furthest: u64,
    /// Whether the last attempt began well behind all before it: something was moved for good.
    pub(super) advanced: bool,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            manner: Manner::default(),
            resumes: true,
            denied: false,
            part: Part::default(),
            broken: None,
            handed: 0,
            furthest: 0,
            advanced: false,
        }
    }
}

impl Course {
    fn begin_at(&mut self, offset: u64) {
        self.advanced = offset >= self.furthest + PROGRESS;
        self.furthest = self.furthest.max(offset);
        self.handed = offset;
    }
}

impl Client {
    /// POST: opens an upload.
    pub(super) async fn open(&self, push: &Push<'_>) -> Result<Session, Error> {
        let url = push.endpoint.url(push.target.name(), "blobs/uploads/");
        let request = empty(push.asker(), Method::POST, url);
        let answered = self.send(&request).await?;
        if answered.status() != StatusCode::ACCEPTED {
            return Err(self.status_error(&request, answered).await);
        }
        session(push.endpoint, push.operation, &answered)
    }

    /// Sends what is missing of the blob from `offset` on, and commits it.
    pub(super) async fn upload(
        &self,
        push: &Push<'_>,
        course: &mut Course,
        session: Session,
        offset: u64,
    ) -> Result<PushOutcome, Setback> {
        course.begin_at(offset);
        course.part = Part::Sending;
        let finished = match course.manner {
            Manner::Streamed => {
                course.broken = Some(session.clone());
                let finished = push.finished()?;
                let whole = finished.filter(|finished| offset > 0 && finished.size == offset);
                let session = match whole {
                    Some(_) => session,
                    None => self.patch(push, course, session, offset).await?,
                };
                course.broken = Some(session.clone());
                course.part = Part::Committing;
                let finished = self.commit(push, session).await?;
                course.broken = None;
                finished
            }
            Manner::Monolithic => self.put(push, session).await?,
        };
        Ok(PushOutcome::Uploaded {
            bytes: finished.size,
        })
    }

    /// PATCH: the spool from `offset` to its end, while it grows.
    async fn patch(
        &self,
        push: &Push<'_>,
        course: &mut Course,
        session: Session,
        offset: u64,
    ) -> Result<Session, Setback> {
        let mut request = bytes_request(push, Method::PATCH, session.url.clone());
        if let Some(finished) = push.finished()? {
            let rest = finished.size.saturating_sub(offset);
            request = request.header(CONTENT_LENGTH, HeaderValue::from(rest));
            // distribution-spec v1.1 § Pushing a blob in chunks. A whole blob goes without: that is what most builders do.
            if let Some(range) = content_range(offset, finished.size) {
                request = request.header(CONTENT_RANGE, range);
            }
        }
        let answered = self
            .send_spool(push, &request, offset, &mut course.handed)
            .await?;
        if !answered.status().is_success() {
            let error = self.status_error(&request, answered).await;
            return Err(if is_refusal(&error) {
                Setback::Refused(error)
            } else {
                Setback::Failed(error)
            });
        }
        let next = answered.header(LOCATION.as_str()).is_some();
        let session = if next {
            self::session(push.endpoint, push.operation, &answered)?
        } else {
            Session { url: answered.url }
        };
        Ok(session)
    }

    /// PUT: says which digest the bytes have.
    async fn commit(&self, push: &Push<'_>, session: Session) -> Result<Finished, Error> {
        let finished = push.source.spool.finished().await;
        let finished = finished.map_err(|source| push.failed_source(source))?;
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
        let request = bytes_request(push, Method::PUT, url)
            .header(CONTENT_LENGTH, HeaderValue::from(finished.size));
        let answered = self.send_spool(push, &request, 0, &mut 0).await?;
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

    /// Sends a request whose body is the spool from `offset` on, to wherever a redirect leads that keeps method and body; credentials stay
    /// with the registry. It stalls when the network takes nothing, not when the spool has nothing.
    async fn send_spool(
        &self,
        push: &Push<'_>,
        request: &Request<'_>,
        offset: u64,
        handed: &mut u64,
    ) -> Result<Answer, Error> {
        let mut url = request.url.clone();
        for _ in 0..=limits::REDIRECTS {
            let answered = self
                .send_spool_to(push, request, &url, offset, handed)
                .await?;
            if !matches!(answered.status().as_u16(), 307 | 308) {
                return Ok(answered);
            }
            url = push
                .endpoint
                .follow(&url, answered.header(LOCATION.as_str()))
                .map_err(|reason| refused(request.operation, &url, reason))?;
        }
        Err(Error::Protocol {
            operation: request.operation.clone(),
            what: format!("more than {} redirects", limits::REDIRECTS),
        })
    }

    async fn send_spool_to(
        &self,
        push: &Push<'_>,
        request: &Request<'_>,
        url: &Url,
        offset: u64,
        handed: &mut u64,
    ) -> Result<Answer, Error> {
        let progress = Arc::new(Progress::new(offset));
        let spool = &push.source.spool;
        let body = Body::wrap_stream(counted(spool.stream_from(offset), Arc::clone(&progress)));
        let authorization = self.authorization(request, url).await?;
        let builder = self.builder(request, url, authorization.as_ref()).await?;
        let timeouts = self.inner.config.timeouts;
        let outcome = tokio::select! {
            response = builder.body(body).send() => {
                response.map_err(|source| answer::transport(request.operation, source))
            }
            after = progress.stalled(spool, timeouts.stall, timeouts.commit) => {
                Err(Error::Stalled { operation: request.operation.clone(), after })
            }
        };
        *handed = progress.handed();
        outcome.map(|response| Answer::new(response, url.clone(), authorization))
    }

    /// The upload that broke, and how far it got, if the registry says so and what it says can be true. It is asked once per
    /// break, and once more if it was not well.
    /// distribution-spec v1.1 § Pushing a blob in chunks.
    pub(super) async fn resumable(
        &self,
        push: &Push<'_>,
        course: &mut Course,
    ) -> Option<(Session, u64)> {
        let broken = course.broken.take()?;
        if !course.resumes || course.manner != Manner::Streamed {
            return None;
        }
        let request = Request::new(push.asker(), Method::GET, broken.url.clone());
        let mut answered = self.send(&request).await;
        let is_unwell = match &answered {
            Ok(answered) => retry::is_transient(answered.status().as_u16()),
            Err(error) => error.is_transient(),
        };
        if is_unwell {
            answered = self.send(&request).await;
        }
        let answered = answered.ok()?;
        if answered.status() != StatusCode::NO_CONTENT {
            return None;
        }
        let offset = offset_of(answered.text(RANGE.as_str())?)?;
        if offset > course.handed {
            return None;
        }
        let session = match answered.header(LOCATION.as_str()) {
            Some(_) => session(push.endpoint, push.operation, &answered).ok()?,
            None => broken,
        };
        Some((session, offset))
    }
}

/// How many bytes an upload has that says `0-<last>`. What has one byte or none begins anew: some registries say `0-0` of both.
fn offset_of(range: &str) -> Option<u64> {
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
    last.checked_add(1).filter(|offset| *offset > 1)
}

fn content_range(offset: u64, size: u64) -> Option<HeaderValue> {
    if offset == 0 || size <= offset {
        return None;
    }
    HeaderValue::from_str(&format!("{offset}-{}", size - 1)).ok()
}

fn bytes_request<'a>(push: &Push<'a>, method: Method, url: Url) -> Request<'a> {
    let octets = HeaderValue::from_static("application/octet-stream");
    Request::new(push.asker(), method, url).header(CONTENT_TYPE, octets)
}

/// A request without a body that says so: some registries want a length with every POST and PUT.
pub(super) fn empty<'a>(
    asker: (&'a Endpoint, &'a Operation, &'a Scopes),
    method: Method,
    url: Url,
) -> Request<'a> {
    Request::new(asker, method, url).header(CONTENT_LENGTH, HeaderValue::from_static("0"))
}

pub(super) fn session(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_stands_where_its_range_ends() {
        for (range, offset) in [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("0-0", None),
            ("5-9", None),
            ("0-18446744073709551615", None),
            ("0-", None),
            ("", None),
        ] {
            assert_eq!(offset_of(range), offset, "{range}");
        }
    }

    #[test]
    fn only_the_rest_of_a_blob_is_sent_as_a_range() {
        let shown = |offset, size| {
            let range = content_range(offset, size)?;
            range.to_str().ok().map(str::to_owned)
        };
        assert_eq!(shown(0, 10), None);
        assert_eq!(shown(4, 10).as_deref(), Some("4-9"));
        assert_eq!(shown(10, 10), None);
    }
}
