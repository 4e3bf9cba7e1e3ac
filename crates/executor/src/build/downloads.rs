//! Files of the web, each fetched once in a build, however many steps add it.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime};
use kigumi_layer::{ContentIdentity, FileContent, Origin, Timestamp};
use kigumi_oci::Digest;
use kigumi_registry::{Authentication, Client, Secret, WebSource};

use super::contents::Contents;
use super::workshop::Workshop;
use crate::error::BuildError;
use crate::report::{self, BuildEvent};
use crate::secrets::Secrets;

/// What was fetched so far.
#[derive(Debug)]
pub(crate) struct Downloads {
    client: Client,
    files: Vec<(WebSource, Download)>,
}

/// A fetched file.
#[derive(Debug, Clone)]
pub(crate) struct Download {
    /// What the URL calls it.
    pub(crate) name: Vec<u8>,
    /// Where its bytes are.
    pub(crate) content: FileContent,
    /// What the server says, else 1970. COMPAT(buildkit)
    pub(crate) mtime: Timestamp,
    /// Of its bytes.
    pub(crate) digest: Digest,
}

impl Downloads {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            files: Vec::new(),
        }
    }

    /// The file behind a URL. With `checksum` its bytes are that file's and no other's.
    pub(crate) fn get(
        &mut self,
        url: &str,
        checksum: Option<Digest>,
        secrets: &Secrets,
        workshop: &Workshop,
        contents: &mut Contents,
    ) -> Result<Download, BuildError> {
        let source = source(url, checksum, secrets)?;
        let known = self.files.iter().find(|(known, download)| {
            known.is_same_file(&source)
                && checksum.is_none_or(|checksum| checksum == download.digest)
        });
        if let Some((_, download)) = known {
            return Ok(download.clone());
        }
        let download = fetch(&self.client, &source, workshop, contents)?;
        self.files.push((source, download.clone()));
        Ok(download)
    }
}

/// A URL with the credential that the secrets have for its host (T-ADD-10).
pub(crate) fn source(
    url: &str,
    checksum: Option<Digest>,
    secrets: &Secrets,
) -> Result<WebSource, BuildError> {
    let source = WebSource::parse(url).map_err(web)?;
    let authentication = authentication(&source, secrets)?;
    Ok(source.expecting(checksum).authenticated(authentication))
}

fn authentication(
    source: &WebSource,
    secrets: &Secrets,
) -> Result<Option<Authentication>, BuildError> {
    type Make = fn(&Secret<String>, &str) -> Result<Authentication, kigumi_registry::Error>;
    let kinds: [(&str, Make); 2] = [
        ("HTTP_AUTH_HEADER_", Authentication::header_text),
        ("HTTP_AUTH_TOKEN_", Authentication::bearer),
    ];
    for host in source.authorities() {
        for (prefix, make) in kinds {
            let id = format!("{prefix}{host}");
            if let Some(value) = secrets.get(&id) {
                let label = format!("the secret `{id}`");
                // What is not text cannot be in a header: it is refused by its name.
                let text = String::from_utf8_lossy(value.expose()).into_owned();
                return make(&Secret::new(text), &label).map(Some).map_err(web);
            }
        }
    }
    Ok(None)
}

fn fetch(
    client: &Client,
    source: &WebSource,
    workshop: &Workshop,
    contents: &mut Contents,
) -> Result<Download, BuildError> {
    let started = std::time::Instant::now();
    let file = contents.scratch_file()?;
    let fetched = workshop.wait(async { client.fetch_file(source, &file).await.map_err(web) })?;
    workshop.events.emit(BuildEvent::Detail {
        message: format!(
            "fetched `{}`: {}, {} in {}",
            source.shown(),
            report::bytes(fetched.size),
            fetched.digest,
            report::duration(started.elapsed()),
        ),
    });
    let time = fetched.last_modified.as_deref().and_then(http_date);
    Ok(Download {
        name: source.name(),
        content: FileContent {
            size: fetched.size,
            identity: ContentIdentity::Sha256(fetched.digest),
            origin: Origin::Blob {
                blob: contents.add_file(file),
                offset: 0,
            },
        },
        mtime: Timestamp {
            seconds: time.unwrap_or_default(),
            nanoseconds: 0,
        },
        digest: fetched.digest,
    })
}

pub(crate) fn web(error: kigumi_registry::Error) -> BuildError {
    BuildError::Web(Arc::new(error))
}

/// Seconds since 1970 of an HTTP date, in any of the three forms of RFC 9110 § 5.6.7.
pub(crate) fn http_date(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc2822(text) {
        return Some(time.timestamp());
    }
    let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let time = forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some(time.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Environment, SecretFlag, SecretSource};
    use crate::secrets::Redactor;

    fn secrets(ids: &[&str], value: &str) -> Secrets {
        let environment = Environment {
            variables: [("VALUE".to_owned(), value.to_owned())].into(),
            ..Environment::default()
        };
        let flags: Vec<SecretFlag> = ids
            .iter()
            .map(|id| SecretFlag {
                id: (*id).to_owned(),
                source: SecretSource::Environment("VALUE".to_owned()),
            })
            .collect();
        Secrets::load(&flags, &environment, &Redactor::default()).unwrap()
    }

    #[test]
    fn http_dates_have_three_forms() {
        for (text, seconds) in [
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(1_445_412_480)),
            ("Wednesday, 21-Oct-15 07:28:00 GMT", Some(1_445_412_480)),
            ("Wed Oct 21 07:28:00 2015", Some(1_445_412_480)),
            ("Thu Oct  1 07:28:00 2015", Some(1_443_684_480)),
            ("2015-10-21T07:28:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(http_date(text), seconds, "{text}");
        }
    }

    // T-ADD-10
    #[test]
    fn a_host_gets_its_own_secret_and_no_other() {
        for (url, ids, label) in [
            (
                "https://h.test/",
                &["HTTP_AUTH_TOKEN_h.test"][..],
                Some("HTTP_AUTH_TOKEN_h.test"),
            ),
            (
                "https://h.test/",
                &["HTTP_AUTH_TOKEN_h.test", "HTTP_AUTH_HEADER_h.test"],
                Some("HTTP_AUTH_HEADER_h.test"),
            ),
            (
                "https://h.test:8443/",
                &["HTTP_AUTH_HEADER_h.test", "HTTP_AUTH_TOKEN_h.test:8443"],
                Some("HTTP_AUTH_TOKEN_h.test:8443"),
            ),
            (
                "https://h.test:8443/",
                &["HTTP_AUTH_TOKEN_h.test"],
                Some("HTTP_AUTH_TOKEN_h.test"),
            ),
            ("https://h.test/", &["HTTP_AUTH_TOKEN_h.test:8443"], None),
            ("https://sub.h.test/", &["HTTP_AUTH_TOKEN_h.test"], None),
            ("https://h.test.evil/", &["HTTP_AUTH_TOKEN_h.test"], None),
        ] {
            let found = source(url, None, &secrets(ids, "s3cret\n")).unwrap();
            let shown = format!("{found:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
            match label {
                Some(label) => assert!(shown.contains(&format!("`{label}`")), "{url}: {shown}"),
                None => assert!(shown.contains("authentication: None"), "{url}: {shown}"),
            }
        }
    }

    #[test]
    fn a_secret_that_no_header_can_hold_is_named_and_not_shown() {
        let secrets = secrets(&["HTTP_AUTH_TOKEN_h.test"], "s3\nhidden");
        let error = source("https://h.test/", None, &secrets)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("HTTP_AUTH_TOKEN_h.test") && !error.contains("hidden"),
            "{error}"
        );
    }
}
