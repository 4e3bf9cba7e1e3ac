//! Reading answers with bounds on time and memory.

use std::future::Future;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;

use crate::error::ErrorAnswer;
use crate::{Error, Operation, limits, retry};

/// An answer's head within `stall`.
pub(crate) async fn within(
    stall: Duration,
    operation: &Operation,
    sending: impl Future<Output = reqwest::Result<Response>>,
) -> Result<Response, Error> {
    match tokio::time::timeout(stall, sending).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(source)) => Err(transport(operation, source)),
        Err(_) => Err(Error::Stalled {
            operation: operation.clone(),
            after: stall,
        }),
    }
}

pub(crate) fn transport(operation: &Operation, source: reqwest::Error) -> Error {
    Error::Transport {
        operation: operation.clone(),
        source: source.without_url(),
    }
}

/// The next piece of a body within `stall`.
pub(crate) async fn chunk(
    response: &mut Response,
    stall: Duration,
    operation: &Operation,
) -> Result<Option<Bytes>, Error> {
    match tokio::time::timeout(stall, response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(source)) => Err(transport(operation, source)),
        Err(_) => Err(Error::Stalled {
            operation: operation.clone(),
            after: stall,
        }),
    }
}

/// A whole body of at most `limit` bytes.
pub(crate) async fn body(
    mut response: Response,
    limit: u64,
    stall: Duration,
    operation: &Operation,
) -> Result<Bytes, Error> {
    let too_large = || Error::TooLarge {
        operation: operation.clone(),
        limit,
    };
    if response
        .content_length()
        .is_some_and(|length| length > limit)
    {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(piece) = chunk(&mut response, stall, operation).await? {
        if body.len() as u64 + piece.len() as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// distribution-spec v1.1 § Error Codes.
#[derive(Deserialize)]
struct Envelope {
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    code: Option<String>,
    message: Option<String>,
}

/// What an error answer says, as far as its first bytes tell.
pub(crate) async fn error_answer(
    mut response: Response,
    credential: String,
    stall: Duration,
) -> ErrorAnswer {
    let status = response.status().as_u16();
    let header = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let retry_after = retry::retry_after(header, SystemTime::now().into());
    let mut text = BytesMut::new();
    // The body is only an explanation: what cannot be read of it is left out.
    while text.len() as u64 <= limits::ERROR_BODY
        && let Ok(Ok(Some(piece))) = tokio::time::timeout(stall, response.chunk()).await
    {
        text.extend_from_slice(&piece);
    }
    let (code, message) = explain(&text);
    ErrorAnswer {
        status,
        code,
        message,
        credential,
        retry_after,
    }
}

/// What stands in an element of the XML that object stores answer with.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    Some(content.trim())
}

/// Code and message of an error body, as registries and object stores write it; of a body in another form, its first line if that is text and no markup.
pub(crate) fn explain(body: &[u8]) -> (Option<String>, String) {
    let first = serde_json::from_slice(body)
        .ok()
        .and_then(|envelope: Envelope| envelope.errors.into_iter().next());
    if let Some(entry) = first {
        return (
            entry.code.map(|code| printable(&code)),
            printable(&entry.message.unwrap_or_default()),
        );
    }
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.starts_with('<') || line.starts_with('\u{feff}') {
        let said = element(&text, "Error").unwrap_or_default();
        let code = element(said, "Code").map(printable);
        let message = element(said, "Message").and_then(|message| message.lines().next());
        return (code, message.map(printable).unwrap_or_default());
    }
    (None, printable(line))
}

fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(limits::ERROR_TEXT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_bodies_are_explained_in_the_forms_that_registries_use() {
        let cases: [(&[u8], Option<&str>, &str); 7] = [
            (
                br#"{"errors":[{"code":"DENIED","message":"no\nway","detail":{}}]}"#,
                Some("DENIED"),
                "noway",
            ),
            (br#"{"errors":[]}"#, None, r#"{"errors":[]}"#),
            (br#"{"errors":[{"message":"x"}]}"#, None, "x"),
            (b"404 page not found\n", None, "404 page not found"),
            (b"<html><body>teapot", None, ""),
            (
                b"<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>No such key.\nRequestId:1</Message></Error>",
                Some("NoSuchKey"),
                "No such key.",
            ),
            (b"", None, ""),
        ];
        for (body, code, message) in cases {
            assert_eq!(explain(body), (code.map(str::to_owned), message.to_owned()));
        }
    }
}
