//! Files of the web, for ADD: the same clients, names, certificates, proxies and retries as for registries.
//!
//! What the user wrote may be at any address. Where its server sends us is bound by the rules for registries (`transport::address`): a
//! public server may not point into a private network, nobody may point to a metadata service, and nothing goes from HTTPS to
//! plain HTTP unless a digest says what has to come. A credential goes to the origin it is for, and stays behind for good at the first
//! step away from it.

mod exchange;
mod open;
mod put;
mod receive;
mod source;

use std::fs::File;
use std::sync::Arc;

use kigumi_oci::Digest;
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, HeaderValue, LAST_MODIFIED, LOCATION};
use url::Url;

pub use exchange::{WebAnswer, WebBody, WebRequest};
pub use open::OpenFile;
pub use source::{Authentication, WebSource};

use crate::client::{Client, answer, class_of, is_redirect, refused};
use crate::{Error, Operation, Registry, limits};
use receive::Receiver;

/// A file that was fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Downloaded {
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// `Last-Modified`, as the server says it.
    pub last_modified: Option<String>,
}

impl Client {
    /// Fetches a file into `file`, which holds it and nothing else afterwards. Bytes are stored as they come: a coding that the server
    /// applies on its own account is not undone, so that nothing inflates here.
    ///
    /// # Errors
    /// [`Error::Status`] for every answer but 2xx, [`Error::Content`] for bytes of another digest than asked for, [`Error::Truncated`] when
    /// fewer came than were promised. What may be otherwise the next time is tried again, from the start.
    pub async fn fetch_file(&self, source: &WebSource, file: &File) -> Result<Downloaded, Error> {
        let operation = Operation::at("fetch", source.shown());
        self.retrying(&operation, || async {
            let response = self.web_answer(&operation, source).await?;
            let last_modified = response.headers().get(LAST_MODIFIED);
            let last_modified = last_modified
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned);
            let stall = self.config().timeouts.stall;
            let receiver = Receiver::new(&operation, file).await?;
            let (digest, size) = receiver.receive(response, stall).await?;
            match source.expected() {
                Some(expected) if expected != digest => Err(Error::Content {
                    operation: operation.clone(),
                    source: kigumi_oci::Error::DigestMismatch {
                        expected,
                        actual: digest,
                    },
                }),
                _ => Ok(Downloaded {
                    digest,
                    size,
                    last_modified,
                }),
            }
        })
        .await
    }

    /// The `Last-Modified` of a file, as the server says it, without the file.
    ///
    /// # Errors
    /// As [`fetch_file`](Self::fetch_file).
    pub async fn last_modified(&self, source: &WebSource) -> Result<Option<String>, Error> {
        let operation = Operation::at("look at", source.shown());
        // A GET whose body nobody reads: servers exist that answer a HEAD with something else.
        let response = self
            .retrying(&operation, || self.web_answer(&operation, source))
            .await?;
        let value = response.headers().get(LAST_MODIFIED);
        Ok(value
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned))
    }

    /// The answer that carries the file, wherever redirects lead.
    async fn web_answer(
        &self,
        operation: &Operation,
        source: &WebSource,
    ) -> Result<Response, Error> {
        let mut url = source.url().clone();
        let mut authentication = source.authentication();
        let mut is_home = true;
        let stall = self.config().timeouts.stall;
        for _ in 0..=limits::REDIRECTS {
            let client = self.web_client(source.url(), &url).await;
            let client = client.map_err(|reason| refused(operation, &url, reason))?;
            let mut request = client.get(url.clone());
            // Headers are for the origin, as credentials are.
            if is_home {
                request = request.headers(source.headers().clone());
            }
            if let Some(authentication) = authentication {
                request = request.header(AUTHORIZATION, authentication.header().clone());
            }
            let response = answer::within(stall, operation, request.send()).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !is_redirect(status) {
                return Err(status_error(operation, response, authentication, stall).await);
            }
            if let Some(region) = other_region(&response) {
                let what = format!("the bucket is in the region `{region}`: set AWS_REGION to it");
                return Err(Error::Protocol {
                    operation: operation.clone(),
                    what,
                });
            }
            let location = response.headers().get(LOCATION);
            let next = follow(&url, location, source.expected().is_some())
                .map_err(|reason| refused(operation, &url, reason))?;
            // Once away, credentials stay behind, even if the way leads back.
            if next.origin() != source.url().origin() {
                authentication = None;
                is_home = false;
            }
            url = next;
        }
        Err(Error::Protocol {
            operation: operation.clone(),
            what: format!("more than {} redirects", limits::REDIRECTS),
        })
    }

    /// The client that may speak to `url`, where whoever answers at `home` may have sent us.
    async fn web_client(&self, home: &Url, url: &Url) -> Result<reqwest::Client, &'static str> {
        let authority = &url.authority_text();
        let transport = self
            .transports()
            .of_host(self.config(), &Registry::new(authority));
        let transport = transport.ok_or("there is no transport for it")?;
        if url.origin() == home.origin() {
            return Ok(transport.direct().clone());
        }
        let names = Arc::clone(&self.transports().names);
        let class = class_of(home, &names).await;
        transport.foreign(url, class).cloned()
    }
}

/// S3 answers with a redirect that leads nowhere when a bucket is asked for in a region that it is not in.
fn other_region(response: &Response) -> Option<String> {
    let headers = response.headers();
    let region = headers.get("x-amz-bucket-region")?.to_str().ok()?;
    let is_name = region
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_name && !headers.contains_key(LOCATION)).then(|| region.to_owned())
}

/// Where a `Location` leads from `current`, if it may lead there.
fn follow(
    current: &Url,
    location: Option<&HeaderValue>,
    digest_is_known: bool,
) -> Result<Url, &'static str> {
    let location = location.ok_or("its redirect gives no location")?;
    let text = location.to_str().map_err(|_| "its location is not text")?;
    let next = current.join(text).map_err(|_| "its location is no URL")?;
    if !next.username().is_empty() || next.password().is_some() {
        return Err("its location has a user in it");
    }
    match (current.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        (_, "http") if digest_is_known => Ok(next),
        (_, "http") => Err(
            "its location leads from HTTPS to plain HTTP, where anybody may change the file; with --checksum that would be seen",
        ),
        _ => Err("its location is not on HTTP"),
    }
}

async fn status_error(
    operation: &Operation,
    response: Response,
    authentication: Option<&Authentication>,
    stall: std::time::Duration,
) -> Error {
    let label = authentication.map_or_else(
        || "sent without credentials".to_owned(),
        |authentication| format!("credentials: {}", authentication.label()),
    );
    let mut said = answer::error_answer(response, label, stall).await;
    if let Some(authentication) = authentication {
        said.message = authentication.redact(&said.message);
    }
    Error::Status {
        operation: operation.clone(),
        answer: Box::new(said),
    }
}

/// `host[:port]` of a URL.
trait AuthorityText {
    fn authority_text(&self) -> String;
}

impl AuthorityText for Url {
    fn authority_text(&self) -> String {
        let host = self.host_str().unwrap_or_default();
        match self.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_followed_by_the_rules() {
        let cases = [
            ("https://a.test/x/y", "z", false, Some("https://a.test/x/z")),
            (
                "https://a.test/",
                "//b.test/z",
                false,
                Some("https://b.test/z"),
            ),
            (
                "http://a.test/",
                "https://b.test/",
                false,
                Some("https://b.test/"),
            ),
            (
                "http://a.test/",
                "http://b.test/",
                false,
                Some("http://b.test/"),
            ),
            ("https://a.test/", "http://a.test/", false, None),
            (
                "https://a.test/",
                "http://a.test/",
                true,
                Some("http://a.test/"),
            ),
            ("https://a.test/", "https://user:pw@a.test/", true, None),
            ("http://a.test/", "file:///etc/passwd", true, None),
            ("http://a.test/", "ftp://a.test/", true, None),
            ("http://a.test/", "http://[", true, None),
        ];
        for (current, location, digest_is_known, expected) in cases {
            let current = Url::parse(current).unwrap();
            let header = HeaderValue::from_static(location);
            let next = follow(&current, Some(&header), digest_is_known);
            let next = next.map(|url| url.to_string()).ok();
            assert_eq!(next.as_deref(), expected, "{current} -> {location}");
        }
        follow(&Url::parse("http://a.test/").unwrap(), None, true).unwrap_err();
    }
}
