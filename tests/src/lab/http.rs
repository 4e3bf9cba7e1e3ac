//! HTTP as far as a registry on loopback needs it.
//!
//! Requests are HTTP/1.0: one connection each, and the server may not chunk its answer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// An answer whose body has not been read yet.
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    body: BufReader<TcpStream>,
}

impl Response {
    /// A header by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The body as a stream that ends after the announced length.
    pub(crate) fn into_body(self) -> impl Read + use<> {
        let length = self
            .header("content-length")
            .and_then(|value| value.parse().ok());
        self.body.take(length.unwrap_or(u64::MAX))
    }

    /// The whole body, which must have the announced length.
    pub(crate) fn bytes(self) -> Result<Vec<u8>> {
        let announced = self
            .header("content-length")
            .and_then(|value| value.parse::<usize>().ok());
        let mut bytes = Vec::new();
        self.into_body()
            .read_to_end(&mut bytes)
            .context("read an answer of the registry")?;
        if announced.is_some_and(|length| length != bytes.len()) {
            bail!(
                "the registry announced {announced:?} bytes and sent {}",
                bytes.len()
            );
        }
        Ok(bytes)
    }
}

/// Sends one request; `body` carries its length.
pub(crate) fn send(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<(&mut dyn Read, u64)>,
) -> Result<Response> {
    let request = || format!("{method} http://{address}{target}");
    let mut stream = TcpStream::connect(address).with_context(request)?;
    stream
        .set_read_timeout(Some(Duration::from_mins(2)))
        .with_context(request)?;
    let mut lines = vec![
        format!("{method} {target} HTTP/1.0"),
        format!("Host: {address}"),
    ];
    lines.extend(
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );
    lines.extend(
        body.as_ref()
            .map(|(_, length)| format!("Content-Length: {length}")),
    );
    let head = format!("{}\r\n\r\n", lines.join("\r\n"));
    stream.write_all(head.as_bytes()).with_context(request)?;
    if let Some((source, _)) = body {
        std::io::copy(source, &mut stream).with_context(request)?;
    }
    read_head(stream).with_context(request)
}

fn read_head(stream: TcpStream) -> Result<Response> {
    let mut body = BufReader::new(stream);
    let mut line = String::new();
    body.read_line(&mut line)?;
    let status = line
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .with_context(|| format!("no status in {line:?}"))?;
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        body.read_line(&mut line)?;
        let trimmed = line.trim_end();
        if trimmed.is_empty() {
            return Ok(Response {
                status,
                headers,
                body,
            });
        }
        if let Some((name, value)) = trimmed.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
}
