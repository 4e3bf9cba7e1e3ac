use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kigumi_oci::{Descriptor, Digest, Digester};
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};

use super::places::pass_over;
use super::request::{Answer, Request};
use super::{Client, Endpoint, answer};
use crate::auth::Scopes;
use crate::transport::Direction;
use crate::{Error, Operation, Repository, SpoolWriter, limits};

/// A transfer that got this much further counts as a new start for its attempts.
pub(super) const PROGRESS: u64 = 1024 * 1024;

impl Client {
    /// Fetches a blob into a spool, whose readers may read while it grows. Digest and size are verified to the last byte
    /// before the spool ends; a transfer that breaks goes on where it broke.
    ///
    /// # Errors
    /// The error that the spool's readers get too.
    pub async fn fetch_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        writer: SpoolWriter,
    ) -> Result<(), Arc<Error>> {
        let mut download = Download {
            writer,
            digester: Digester::new(),
            size: descriptor.size,
            operation: fetching(descriptor, repository),
            resumes: true,
        };
        let outcome = match self.download(repository, descriptor, &mut download).await {
            Ok(()) => download.check(descriptor.digest),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => download
                .writer
                .finish(descriptor.digest, descriptor.size)
                .map_err(Arc::new),
            Err(error) => {
                let error = Arc::new(error);
                download.writer.fail(Arc::clone(&error) as _);
                Err(error)
            }
        }
    }

    /// A whole blob in memory, verified; for configs.
    pub(super) async fn fetch_small_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, Error> {
        let operation = fetching(descriptor, repository);
        if descriptor.size > limit {
            return Err(Error::TooLarge { operation, limit });
        }
        let endpoint = self
            .endpoint(repository, Direction::Pull, &operation)
            .await?;
        let scopes = Scopes::new(repository, Direction::Pull);
        let stall = self.inner.config.timeouts.stall;
        let body = self
            .retrying(&operation, || async {
                let answered = self
                    .blob_answer((&endpoint, &operation, &scopes), repository, descriptor, 0)
                    .await?;
                answer::body(answered.response, descriptor.size, stall, &operation).await
            })
            .await?;
        verify(&operation, descriptor, &body)?;
        Ok(body)
    }

    /// Whether a blob is there, and how large it is.
    ///
    /// # Errors
    /// Any answer but 200 and 404.
    pub async fn blob_size(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<Option<u64>, Error> {
        let direction = Direction::Pull;
        self.blob_size_as(repository, digest, direction).await
    }

    pub(super) async fn blob_size_as(
        &self,
        repository: &Repository,
        digest: Digest,
        direction: Direction,
    ) -> Result<Option<u64>, Error> {
        let operation = Operation::new(format!("look for blob {digest} in"), repository);
        let endpoint = self.endpoint(repository, direction, &operation).await?;
        let scopes = Scopes::new(repository, direction);
        let url = endpoint.url(repository.name(), &format!("blobs/{digest}"));
        let request = Request::new((&endpoint, &operation, &scopes), Method::HEAD, url);
        self.retrying(&operation, || async {
            let answered = self.send(&request).await?;
            match answered.status() {
                StatusCode::OK => {
                    let length = answered.text("content-length");
                    length
                        .and_then(|text| text.parse().ok())
                        .map(Some)
                        .ok_or_else(|| Error::Protocol {
                            operation: operation.clone(),
                            what: "the answer has no Content-Length".to_owned(),
                        })
                }
                StatusCode::NOT_FOUND => Ok(None),
                _ => Err(self.status_error(&request, answered).await),
            }
        })
        .await
    }

    /// From one place of the repository after the other: what came from the one is not asked of the next.
    async fn download(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        download: &mut Download,
    ) -> Result<(), Error> {
        let (mut place, others) = self.places_of_blobs(repository);
        for next in others {
            match self.download_from(&place, descriptor, download).await {
                Ok(()) => return Ok(()),
                Err(error @ Error::SpoolWrite { .. }) => return Err(error),
                Err(error) => pass_over(&error, &next),
            }
            place = next;
        }
        self.download_from(&place, descriptor, download).await
    }

    async fn download_from(
        &self,
        place: &Repository,
        descriptor: &Descriptor,
        download: &mut Download,
    ) -> Result<(), Error> {
        let operation = fetching(descriptor, place);
        download.operation = operation.clone();
        download.resumes = true;
        let endpoint = self.endpoint(place, Direction::Pull, &operation).await?;
        let scopes = Scopes::new(place, Direction::Pull);
        let asker = (&*endpoint, &operation, &scopes);
        let mut attempts = self.attempts(&operation);
        loop {
            let before = download.digester.bytes();
            let outcome = self.download_rest(asker, place, descriptor, download).await;
            let Err(error) = outcome else {
                attempts.ended(true);
                return Ok(());
            };
            if before > 0 && download.resumes && is_no_range(&error) {
                tracing::info!("{error}; all of it is fetched again");
                download.resumes = false;
                continue;
            }
            if !error.is_transient() {
                return Err(error);
            }
            if download.digester.bytes() >= before + PROGRESS {
                attempts.begin_again();
            }
            attempts.pause(error).await?;
        }
    }

    async fn download_rest(
        &self,
        asker: (&Endpoint, &Operation, &Scopes),
        repository: &Repository,
        descriptor: &Descriptor,
        download: &mut Download,
    ) -> Result<(), Error> {
        let offset = download.digester.bytes();
        let asked = if download.resumes { offset } else { 0 };
        let answered = self
            .blob_answer(asker, repository, descriptor, asked)
            .await?;
        let skip = match answered.status() {
            StatusCode::PARTIAL_CONTENT => 0,
            _ => offset,
        };
        let stall = self.inner.config.timeouts.stall;
        download.receive(answered, skip, stall).await
    }

    /// The answer that carries a blob from `offset` on, or from its start.
    async fn blob_answer(
        &self,
        asker: (&Endpoint, &Operation, &Scopes),
        repository: &Repository,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Answer, Error> {
        let (endpoint, operation, _) = asker;
        let url = endpoint.url(repository.name(), &format!("blobs/{}", descriptor.digest));
        let mut request = Request::new(asker, Method::GET, url);
        if offset > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={offset}-"))
        {
            request = request.header(RANGE, range);
        }
        let answered = self.send(&request).await?;
        let (status, expected) = (answered.status(), descriptor.size);
        let length = answered.response.content_length();
        match status {
            StatusCode::OK => match length {
                Some(length) if length != expected => Err(Error::Content {
                    operation: operation.clone(),
                    source: kigumi_oci::Error::SizeMismatch {
                        digest: descriptor.digest,
                        expected,
                        actual: length,
                    },
                }),
                _ => Ok(answered),
            },
            StatusCode::PARTIAL_CONTENT if starts_at(&answered, offset) => Ok(answered),
            StatusCode::PARTIAL_CONTENT => Err(Error::Protocol {
                operation: operation.clone(),
                what: format!("asked for the bytes from {offset}, it answers with others"),
            }),
            _ => Err(self.status_error(&request, answered).await),
        }
    }
}

fn fetching(descriptor: &Descriptor, repository: &Repository) -> Operation {
    Operation::new(format!("fetch blob {} from", descriptor.digest), repository)
}

/// Whether a registry does not like to be asked for a part: it answers with another one, or with a refusal that is neither of
/// permission nor of patience.
fn is_no_range(error: &Error) -> bool {
    if let Error::Status { answer, .. } = error {
        let refused = (400..500).contains(&answer.status) || answer.status == 501;
        return refused && !matches!(answer.status, 401 | 403 | 404 | 408 | 425 | 429);
    }
    matches!(error, Error::Protocol { .. })
}

fn starts_at(answered: &Answer, offset: u64) -> bool {
    let range = answered.text(CONTENT_RANGE.as_str()).unwrap_or_default();
    offset > 0 && range.starts_with(&format!("bytes {offset}-"))
}

/// A download on its way.
struct Download {
    writer: SpoolWriter,
    digester: Digester,
    size: u64,
    operation: Operation,
    /// Whether the registry gives parts of a blob.
    resumes: bool,
}

impl Download {
    async fn receive(
        &mut self,
        mut answered: Answer,
        mut skip: u64,
        stall: std::time::Duration,
    ) -> Result<(), Error> {
        let mut pending = BytesMut::with_capacity(limits::CHUNK);
        let outcome = loop {
            match answer::chunk(&mut answered.response, stall, &self.operation).await {
                Ok(Some(mut piece)) => {
                    let skipped = usize::try_from(skip).map_or(piece.len(), |n| n.min(piece.len()));
                    drop(piece.split_to(skipped));
                    skip -= skipped as u64;
                    pending.extend_from_slice(&piece);
                    if pending.len() >= limits::CHUNK {
                        self.store(pending.split().freeze()).await?;
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // What came before the connection broke is kept: the next attempt goes on behind it.
        self.store(pending.freeze()).await?;
        outcome?;
        if self.digester.bytes() < self.size {
            return Err(Error::Truncated {
                operation: self.operation.clone(),
                expected: self.size,
                actual: self.digester.bytes(),
            });
        }
        Ok(())
    }

    async fn store(&mut self, bytes: Bytes) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let total = self.digester.bytes() + bytes.len() as u64;
        if total > self.size {
            return Err(Error::TooLarge {
                operation: self.operation.clone(),
                limit: self.size,
            });
        }
        self.digester.update(&bytes);
        let outcome = self.writer.append(bytes).await;
        outcome.map_err(|source| Error::SpoolWrite {
            operation: self.operation.clone(),
            source,
        })
    }

    fn check(&self, expected: Digest) -> Result<(), Error> {
        let actual = self.digester.clone().finish();
        if actual == expected {
            return Ok(());
        }
        Err(Error::Content {
            operation: self.operation.clone(),
            source: kigumi_oci::Error::DigestMismatch { expected, actual },
        })
    }
}

/// Checks bytes at hand against what was promised.
pub(super) fn verify(
    operation: &Operation,
    descriptor: &Descriptor,
    bytes: &[u8],
) -> Result<(), Error> {
    let digest = descriptor.digest;
    let (size, actual) = (bytes.len() as u64, Digest::of(bytes));
    let source = match (size == descriptor.size, actual == digest) {
        (true, true) => return Ok(()),
        (false, _) => kigumi_oci::Error::SizeMismatch {
            digest,
            expected: descriptor.size,
            actual: size,
        },
        (true, false) => kigumi_oci::Error::DigestMismatch {
            expected: digest,
            actual,
        },
    };
    Err(Error::Content {
        operation: operation.clone(),
        source,
    })
}
