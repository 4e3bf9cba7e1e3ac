//! Signature version 4 (AWS General Reference, "Create a signed AWS API request").

use std::fmt::Write as _;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderName, HeaderValue};
use ring::{digest, hmac};
use url::Url;

use super::Credentials;

/// RFC 3986's unreserved characters stay.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct SigningRequest<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// Where it goes, with its query. The path must be encoded as it is sent.
    pub url: &'a Url,
    /// Headers that are signed beside `host` and those of [`sign`] itself; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body. `None` signs `UNSIGNED-PAYLOAD`, which only S3 takes.
    pub body: Option<&'a [u8]>,
    /// `ecr`, `s3`, …
    pub service: &'a str,
    /// `eu-central-1`
    pub region: &'a str,
}

/// The headers that make a request one of `credentials`: `authorization`, `x-amz-date`, `x-amz-content-sha256` and, for temporary credentials,
/// `x-amz-security-token`. What cannot stand in a header is left out, so that AWS refuses the request.
pub fn sign(
    request: &SigningRequest<'_>,
    credentials: &Credentials,
    now: SystemTime,
) -> Vec<(HeaderName, HeaderValue)> {
    let now = DateTime::<Utc>::from(now);
    let time = now.format("%Y%m%dT%H%M%SZ").to_string();
    let payload = request
        .body
        .map_or_else(|| "UNSIGNED-PAYLOAD".to_owned(), sha256_hex);
    let mut headers = vec![
        ("host", host(request.url)),
        ("x-amz-content-sha256", payload.clone()),
        ("x-amz-date", time.clone()),
    ];
    if let Some(token) = &credentials.session_token {
        headers.push(("x-amz-security-token", token.expose().clone()));
    }
    let others = request.headers.iter();
    headers.extend(others.map(|(name, value)| (*name, (*value).to_owned())));
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let canonical = canonical(request, &headers, &names, &payload);
    let scope = [
        now.format("%Y%m%d").to_string().as_str(),
        request.region,
        request.service,
        "aws4_request",
    ]
    .join("/");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let key = signing_key(credentials, &scope);
    let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key_id
    );
    let own = headers
        .into_iter()
        .filter(|(name, _)| name.starts_with("x-amz-"))
        .filter(|(name, _)| !request.headers.iter().any(|(theirs, _)| theirs == name))
        .chain([("authorization", authorization)]);
    own.filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(matches!(name, "authorization" | "x-amz-security-token"));
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    })
    .collect()
}

/// As the HTTP client sends it: without the scheme's own port.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn canonical(
    request: &SigningRequest<'_>,
    headers: &[(&str, String)],
    names: &str,
    payload: &str,
) -> String {
    let path = if request.service == "s3" {
        request.url.path().to_owned()
    } else {
        // Every other service takes the path encoded once more.
        let segments = request.url.path().split('/');
        let encoded: Vec<String> = segments.map(encode).collect();
        encoded.join("/")
    };
    let mut pairs: Vec<(String, String)> = request
        .url
        .query_pairs()
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    let query: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut text = format!("{}\n{path}\n{}\n", request.method, query.join("&"));
    for (name, value) in headers {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        // Writing to a String does not fail.
        let _written = writeln!(text, "{name}:{}", words.join(" "));
    }
    let _written = write!(text, "\n{names}\n{payload}");
    text
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

fn signing_key(credentials: &Credentials, scope: &str) -> hmac::Key {
    let first = format!("AWS4{}", credentials.secret_access_key.expose());
    let first = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
    scope.split('/').fold(first, |key, part| {
        hmac::Key::new(
            hmac::HMAC_SHA256,
            hmac::sign(&key, part.as_bytes()).as_ref(),
        )
    })
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Secret;

    fn credentials(token: Option<&str>) -> Credentials {
        Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            session_token: token.map(|token| Secret::new(token.to_owned())),
            expires: None,
            source: "a test".to_owned(),
        }
    }

    /// 2015-08-30T12:36:00Z, the time of AWS's own test suite.
    fn time() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_mins(24_015_636)
    }

    fn signature(
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        service: &str,
    ) -> String {
        let url = Url::parse(url).unwrap();
        let request = SigningRequest {
            method: "GET",
            url: &url,
            headers,
            body,
            service,
            region: "us-east-1",
        };
        let signed = sign(&request, &credentials(None), time());
        let (_, value) = signed
            .iter()
            .find(|(name, _)| name == "authorization")
            .unwrap();
        value.to_str().unwrap().to_owned()
    }

    /// The key derivation of the AWS General Reference, "Deriving the signing key".
    #[test]
    fn the_signing_key_is_that_of_the_reference() {
        let key = signing_key(&credentials(None), "20150830/us-east-1/iam/aws4_request");
        // What the reference signs with it.
        let to_sign = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\nf536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        assert_eq!(
            hex(hmac::sign(&key, to_sign.as_bytes()).as_ref()),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn a_canonical_request_has_sorted_headers_and_an_encoded_sorted_query() {
        let url = Url::parse("https://h.test:8443/a%20b/c?z=1&a=x%20y&a=%2F&e").unwrap();
        let request = SigningRequest {
            method: "GET",
            url: &url,
            headers: &[],
            body: Some(b""),
            service: "ecr",
            region: "r",
        };
        let headers = [
            ("host", "h.test:8443".to_owned()),
            ("x", " a   b ".to_owned()),
        ];
        assert_eq!(
            canonical(&request, &headers, "host;x", "P"),
            "GET\n/a%2520b/c\na=%2F&a=x%20y&e=&z=1\nhost:h.test:8443\nx:a b\n\nhost;x\nP"
        );
        let request = SigningRequest {
            service: "s3",
            ..request
        };
        assert!(canonical(&request, &headers, "host;x", "P").starts_with("GET\n/a%20b/c\n"));
    }

    #[test]
    fn whatever_is_signed_changes_the_signature() {
        let plain = signature("https://h.test/", &[], Some(b""), "ecr");
        assert!(plain.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/ecr/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="), "{plain}");
        assert_eq!(plain, signature("https://h.test/", &[], Some(b""), "ecr"));
        for other in [
            signature("https://i.test/", &[], Some(b""), "ecr"),
            signature("https://h.test/a", &[], Some(b""), "ecr"),
            signature("https://h.test/?a", &[], Some(b""), "ecr"),
            signature("https://h.test/", &[("x-a", "1")], Some(b""), "ecr"),
            signature("https://h.test/", &[], Some(b"x"), "ecr"),
            signature("https://h.test/", &[], None, "ecr"),
            signature("https://h.test/", &[], Some(b""), "s3"),
        ] {
            assert_ne!(plain, other);
        }
    }

    #[test]
    fn a_session_token_goes_along_and_is_no_text_of_a_log() {
        let url = Url::parse("https://h.test/").unwrap();
        let request = SigningRequest {
            method: "POST",
            url: &url,
            headers: &[("x-amz-target", "T")],
            body: Some(b"{}"),
            service: "ecr",
            region: "r",
        };
        let signed = sign(&request, &credentials(Some("session-token")), time());
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "x-amz-content-sha256",
                "x-amz-date",
                "x-amz-security-token",
                "authorization"
            ]
        );
        assert!(!format!("{signed:?}").contains("session-token"));
    }
}
