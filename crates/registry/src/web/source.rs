use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kigumi_oci::Digest;
use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::AuthorityText as _;
use crate::{Error, Secret};

/// The name of a file whose URL has none. COMPAT(buildkit)
const UNNAMED: &[u8] = b"__unnamed__";

/// A file behind `http://` or `https://`, with what is known of it before it is fetched.
///
/// A user and password in the URL are a credential for its origin, and are shown nowhere.
#[derive(Clone, Debug)]
pub struct WebSource {
    url: Url,
    authentication: Option<Authentication>,
    expected: Option<Digest>,
    headers: HeaderMap,
}

impl WebSource {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`Error::Url`] when it is none, or none of HTTP.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Url {
            url: without_user(text),
            reason,
        };
        let mut url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong("it is not on HTTP".to_owned()));
        }
        let authentication = of_user(&url)?;
        // Both work for every URL with a host; if not, the credential would be sent elsewhere and shown.
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Err(wrong("it has a user that cannot be taken out".to_owned()));
        }
        url.set_fragment(None);
        Ok(Self {
            url,
            authentication,
            expected: None,
            headers: HeaderMap::new(),
        })
    }

    /// Makes everything an error whose digest is another one.
    #[must_use]
    pub fn expecting(mut self, digest: Option<Digest>) -> Self {
        self.expected = digest;
        self
    }

    /// Sends a credential to the origin of the URL, instead of what the URL itself may hold.
    #[must_use]
    pub fn authenticated(mut self, authentication: Option<Authentication>) -> Self {
        self.authentication = authentication.or(self.authentication);
        self
    }

    /// Sends headers to the origin of the URL, and to nobody else. They are treated as secrets.
    ///
    /// # Errors
    /// [`Error::UnusableCredential`] when a header cannot hold its value.
    pub fn with_headers<'h>(
        mut self,
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    ) -> Result<Self, Error> {
        for (name, value) in headers {
            let parsed = name.parse::<HeaderName>().ok();
            let parsed = parsed.zip(HeaderValue::from_str(value).ok());
            let (parsed, mut value) = parsed.ok_or_else(|| Error::UnusableCredential {
                source_name: format!("the header `{name}`"),
            })?;
            value.set_sensitive(true);
            self.headers.insert(parsed, value);
        }
        Ok(self)
    }

    /// The names under which a credential for this URL may be kept, most preferred first: `host:port`, `host`.
    pub fn authorities(&self) -> Vec<String> {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let mut names = vec![self.url.authority_text(), host];
        names.dedup();
        names
    }

    /// What the file is called: the last component of the path.
    pub fn name(&self) -> Vec<u8> {
        let path: Vec<u8> = percent_decode_str(self.url.path()).collect();
        let last = path
            .split(|byte| *byte == b'/')
            .rfind(|component| !component.is_empty());
        match last {
            None | Some(b"." | b"..") => UNNAMED.to_vec(),
            Some(name) if name.contains(&0) => UNNAMED.to_vec(),
            Some(name) => name.to_vec(),
        }
    }

    /// The URL for people: without its query, which may be a signature.
    pub fn shown(&self) -> String {
        let mut shown = self.url.clone();
        shown.set_query(None);
        shown.to_string()
    }

    /// The same file: the same bytes are to be expected.
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.url == other.url
    }

    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    pub(super) const fn expected(&self) -> Option<Digest> {
        self.expected
    }

    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) const fn authentication(&self) -> Option<&Authentication> {
        self.authentication.as_ref()
    }
}

/// What goes with a request as `Authorization`.
#[derive(Clone)]
pub struct Authentication {
    header: HeaderValue,
    secret: Secret<String>,
    label: String,
}

impl Authentication {
    /// A whole header: `Basic …`, `Bearer …`, or whatever the server takes. `label` says for people where it came from.
    ///
    /// # Errors
    /// [`Error::UnusableCredential`] when a header cannot hold it.
    pub fn header_text(value: &Secret<String>, label: &str) -> Result<Self, Error> {
        let text = value.expose().trim();
        let mut header = HeaderValue::from_str(text).map_err(|_| Error::UnusableCredential {
            source_name: label.to_owned(),
        })?;
        header.set_sensitive(true);
        let secret = text.split_once(' ').map_or(text, |(_, secret)| secret);
        Ok(Self {
            header,
            secret: Secret::new(secret.trim().to_owned()),
            label: label.to_owned(),
        })
    }

    /// A bearer token.
    ///
    /// # Errors
    /// As [`header_text`](Self::header_text).
    pub fn bearer(token: &Secret<String>, label: &str) -> Result<Self, Error> {
        let text = format!("Bearer {}", token.expose().trim());
        Self::header_text(&Secret::new(text), label)
    }

    pub(super) const fn header(&self) -> &HeaderValue {
        &self.header
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// `text` without the credential, should a server repeat it.
    pub(super) fn redact(&self, text: &str) -> String {
        if self.secret.expose().is_empty() {
            return text.to_owned();
        }
        text.replace(self.secret.expose(), "…")
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// The credential that a URL holds.
fn of_user(url: &Url) -> Result<Option<Authentication>, Error> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let value = Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair)));
    Authentication::header_text(&value, "the user in the URL").map(Some)
}

/// A text that is no URL, with nothing in it that may be a password.
fn without_user(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/…")
}

#[cfg(test)]
mod tests {
    use super::*;

    // T-ADD-07
    #[test]
    fn a_file_is_called_as_the_last_component_of_its_path() {
        for (url, name) in [
            ("http://h.test/dir/file.txt", "file.txt"),
            ("http://h.test/dir/", "dir"),
            ("http://h.test/a%20b?x=/y#/z", "a b"),
            ("http://h.test/a%2Fb", "b"),
            ("http://h.test/a//", "a"),
            ("http://h.test", "__unnamed__"),
            ("http://h.test/?q=file", "__unnamed__"),
            ("http://h.test/a/%2e%2e", "__unnamed__"),
            ("http://h.test/a%2f..", "__unnamed__"),
            ("http://h.test/a%00b", "__unnamed__"),
            ("http://h.test/100%", "100%"),
            ("http://h.test/%zz", "%zz"),
        ] {
            let source = WebSource::parse(url).unwrap();
            assert_eq!(String::from_utf8(source.name()).unwrap(), name, "{url}");
        }
    }

    #[test]
    fn what_is_shown_of_a_url_holds_no_credential() {
        let source = WebSource::parse("https://user:p%40ss@h.test:8443/a?token=t#f").unwrap();
        assert_eq!(source.shown(), "https://h.test:8443/a");
        let debugged = format!("{source:?}");
        assert!(
            !debugged.contains("p%40ss") && !debugged.contains("p@ss"),
            "{debugged}"
        );
        let header = source.authentication().unwrap().header();
        assert_eq!(header.to_str().unwrap(), "Basic dXNlcjpwQHNz");
        for text in [
            "https://user:secret@",
            "https://user:secret@[/x",
            "ftp://user:secret@h/x",
        ] {
            let error = WebSource::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn credentials_are_kept_under_the_host_with_and_without_its_port() {
        for (url, names) in [
            ("https://h.test/", &["h.test"][..]),
            ("https://h.test:443/", &["h.test"]),
            ("https://H.test:8443/", &["h.test:8443", "h.test"]),
            ("http://[::1]:80/", &["[::1]"]),
        ] {
            assert_eq!(WebSource::parse(url).unwrap().authorities(), names, "{url}");
        }
    }

    #[test]
    fn a_credential_may_end_with_a_newline_and_hold_none() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let token = Authentication::bearer(&secret("abc\n"), "x").unwrap();
        assert_eq!(token.header().to_str().unwrap(), "Bearer abc");
        assert_eq!(token.redact("no abc here"), "no … here");
        let whole = Authentication::header_text(&secret("Basic eHk=\r\n"), "x").unwrap();
        assert_eq!(whole.header().to_str().unwrap(), "Basic eHk=");
        Authentication::bearer(&secret("a\nX-Other: b"), "x").unwrap_err();
    }
}
