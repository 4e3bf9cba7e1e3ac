use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use ring::hmac;
use url::Url;

use super::Error;
use crate::cloud::Surroundings;
use crate::cloud::azure::Azure;
use crate::{Authentication, Secret, WebSource};

/// The version of the protocol: the first that takes tokens of everything that this file sends, and known to every server since 2021.
const VERSION: &str = "2020-10-02";
/// What tokens are for.
const RESOURCE: &str = "https://storage.azure.com";
const KEY: &str = "AZURE_STORAGE_ACCESS_KEY";

/// A blob of Azure, which the caller knows to be at a host of Azure: with the signature in its URL if there is one, else with
/// `AZURE_STORAGE_ACCESS_KEY`, else with a token if this pod has an identity at Azure.
///
/// # Errors
/// [`Error`] when the identity of the pod cannot be had, or the key or the URL cannot be used.
pub async fn azure_blob(
    azure: &Azure,
    surroundings: &Surroundings,
    text: &str,
    now: SystemTime,
) -> Result<WebSource, Error> {
    let source = WebSource::parse(text)?;
    let url = Url::parse(text).map_err(|_| Error::Name {
        name: source.shown(),
    })?;
    if url.query_pairs().any(|(name, _)| name == "sig") {
        return Ok(source);
    }
    let date = DateTime::<Utc>::from(now).format("%a, %d %b %Y %H:%M:%S GMT");
    let date = date.to_string();
    let (authentication, headers) = if let Some(key) = surroundings.variable(KEY) {
        let key = surroundings.secret(key);
        let value = Secret::new(shared_key(&url, &date, key.expose())?);
        let headers = vec![("x-ms-date", date.as_str()), ("x-ms-version", VERSION)];
        (Authentication::header_text(&value, KEY)?, headers)
    } else if let Some(token) = azure.token(RESOURCE).await? {
        let authentication = Authentication::bearer(&token.token, &token.source)?;
        (authentication, vec![("x-ms-version", VERSION)])
    } else {
        tracing::debug!("Azure: no key and no identity; the blob is asked for without");
        return Ok(source);
    };
    Ok(source
        .authenticated(Some(authentication))
        .with_headers(headers)?)
}

/// The value of `Authorization` for a GET: Azure Storage REST API, "Authorize with Shared Key".
fn shared_key(url: &Url, date: &str, key: &str) -> Result<String, Error> {
    let key = BASE64_STANDARD.decode(key).map_err(|_| Error::Variable {
        variable: KEY,
        reason: "not base64, as the keys of storage accounts are",
    })?;
    let host = url.host_str().unwrap_or_default();
    let account = host.split('.').next().unwrap_or_default();
    // Eleven headers that are not there, each with its line.
    let mut text = format!(
        "GET{}\nx-ms-date:{date}\nx-ms-version:{VERSION}\n/{account}{}",
        "\n".repeat(11),
        url.path()
    );
    let mut pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.to_lowercase(), value.into_owned()))
        .collect();
    pairs.sort();
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("\n{name}:{value}"));
    text.extend(pairs);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    Ok(format!("SharedKey {account}:{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Calculated apart from this code, by the description of the protocol; Azurite checks the same in the container tests.
    #[test]
    fn a_key_signs_method_headers_path_and_query() {
        let url = Url::parse("https://a1.blob.core.windows.net/c/dir/b%20c.tar.gz?snapshot=S&A=1");
        let signed = shared_key(
            &url.unwrap(),
            "Sun, 22 Nov 2026 10:00:00 GMT",
            "a2V5IG9mIGFuIGFjY291bnQ=",
        );
        assert_eq!(
            signed.unwrap(),
            "SharedKey a1:g+bl/TBbzuVsQ/XhL61jutqBQVjPJnjuI7Y4ecPrKyQ="
        );
    }

    #[test]
    fn a_key_that_is_none_is_named_and_not_shown() {
        let url = Url::parse("https://a1.blob.core.windows.net/c/b").unwrap();
        let error = shared_key(&url, "", "s3cret!").unwrap_err().to_string();
        assert!(error.contains(KEY) && !error.contains("s3cret"), "{error}");
    }
}
