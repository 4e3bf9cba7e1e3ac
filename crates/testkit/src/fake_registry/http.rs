//! As much of HTTP/1.1 as clients of registries use (RFC 9112).

use std::io::{self, BufRead, Read, Write};

/// A head larger than this is no client's.
const HEAD: u64 = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The next request's head; `None` at the end of the connection or when it is not HTTP (a TLS client knocks).
    pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = reader.by_ref().take(HEAD);
        let Some(line) = read_line(&mut head)? else {
            return Ok(None);
        };
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1")) =
            (words.next(), words.next(), words.next())
        else {
            return Ok(None);
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            ..Self::default()
        };
        while let Some(line) = read_line(&mut head)? {
            if line.is_empty() {
                return Ok(Some(request));
            }
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            let header = (name.to_ascii_lowercase(), value.trim().to_owned());
            request.headers.push(header);
        }
        Err(malformed())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        super::find(&self.headers, name)
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        super::find(&self.query, name)
    }

    pub(crate) fn keeps_alive(&self) -> bool {
        self.header("connection") != Some("close")
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }

    pub(crate) fn expects_continue(&self) -> bool {
        self.header("expect") == Some("100-continue")
    }

    pub(crate) fn read_body(&mut self, reader: &mut impl BufRead) -> io::Result<()> {
        if self.is_chunked() {
            return self.read_chunks(reader);
        }
        let length = self.header("content-length").unwrap_or("0");
        let length: usize = length.parse().map_err(|_| malformed())?;
        self.body = vec![0; length];
        reader.read_exact(&mut self.body)
    }

    /// Reads at most so many bytes of body, framing and all.
    pub(crate) fn read_some(&mut self, reader: &mut impl BufRead, bytes: usize) -> io::Result<()> {
        let mut some = reader.take(bytes as u64);
        some.read_to_end(&mut self.body).map(drop)
    }

    fn read_chunks(&mut self, reader: &mut impl BufRead) -> io::Result<()> {
        loop {
            let line = read_line(reader)?.ok_or_else(malformed)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(|_| malformed())?;
            let start = self.body.len();
            self.body.resize(start + size, 0);
            reader.read_exact(self.body.get_mut(start..).unwrap_or_default())?;
            read_line(reader)?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}

/// A line without its end; `None` at the end of the input.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.take(HEAD).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let line = String::from_utf8(line).unwrap_or_default();
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn malformed() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16) -> Self {
        Self::of(status, &[], Vec::new())
    }

    pub(crate) fn of(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Self {
        Self {
            status,
            headers: headers.to_vec(),
            body,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        self.headers
            .retain(|(existing, _)| !existing.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
    }

    fn head(&self, length: Option<usize>) -> Vec<u8> {
        let mut head = vec![format!("HTTP/1.1 {} -", self.status)];
        head.extend(
            self.headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}")),
        );
        head.push(match length {
            Some(length) => format!("Content-Length: {length}"),
            None => "Connection: close".to_owned(),
        });
        head.push("\r\n".to_owned());
        head.join("\r\n").into_bytes()
    }

    pub(crate) fn write(&self, writer: &mut impl Write, head_only: bool) -> io::Result<()> {
        let mut bytes = self.head(Some(self.body.len()));
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        writer.write_all(&bytes)?;
        writer.flush()
    }

    /// The head promises everything, the body is only the first bytes of it.
    pub(crate) fn write_part(&self, writer: &mut impl Write, bytes: usize) -> io::Result<()> {
        writer.write_all(&self.head(Some(self.body.len())))?;
        writer.write_all(self.body.get(..bytes).unwrap_or(&self.body))?;
        writer.flush()
    }

    /// A body that ends with the connection.
    pub(crate) fn write_unsized(&self, writer: &mut impl Write) -> io::Result<()> {
        writer.write_all(&self.head(None))?;
        writer.write_all(&self.body)?;
        writer.flush()
    }
}
