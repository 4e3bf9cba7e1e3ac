use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::process::Stdio;

use super::{read_line, repository};

/// A request, whole.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(line) = read_line(reader)? else {
            return Ok(None);
        };
        let mut words = line.split(' ').map(str::to_owned);
        let mut request = Self {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            ..Self::default()
        };
        while let Some(line) = read_line(reader)? {
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let header = (name.to_ascii_lowercase(), value.trim().to_owned());
            request.headers.push(header);
        }
        let length = request.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(io::Error::other)?;
        reader.take(length).read_to_end(&mut request.body)?;
        Ok(Some(request))
    }

    /// The ids of a fetch.
    pub(super) fn wants(&self) -> Vec<String> {
        let body = String::from_utf8_lossy(&self.body);
        let wants = body.split("want ").skip(1);
        wants.map(|rest| rest.chars().take(40).collect()).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer that is no git.
pub(super) fn page(status: u16, header: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} test\r\n{header}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// What git says of a commit that it does not give. gitprotocol-common(5) § `ERR`
pub(super) fn refusal(id: &str) -> Vec<u8> {
    let line = format!("ERR upload-pack: not our ref {id}");
    let line = format!("{:04x}{line}", line.len() + 4);
    page(
        200,
        "Content-Type: application/x-git-upload-pack-result",
        &line,
    )
}

/// What `git http-backend(1)` answers, as HTTP.
pub(super) fn answer(
    directory: &Path,
    request: &Request,
    old_protocol: bool,
) -> io::Result<Vec<u8>> {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let protocol = request.header("git-protocol").filter(|_| !old_protocol);
    let mut child = repository::git(directory)
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", directory)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &request.method)
        .env(
            "CONTENT_TYPE",
            request.header("content-type").unwrap_or_default(),
        )
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("GIT_PROTOCOL", protocol.unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may not read everything: its answer says why.
        drop(stdin.write_all(&request.body));
    }
    let output = child.wait_with_output()?.stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::other("an answer without headers"))?;
    let (head, body) = output.split_at(end);
    let head = String::from_utf8_lossy(head);
    let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
    let mut http = format!(
        "HTTP/1.1 {}\r\nConnection: close\r\n",
        status.unwrap_or("200 OK")
    );
    for line in head.lines().filter(|line| !line.starts_with("Status:")) {
        http.push_str(line);
        http.push_str("\r\n");
    }
    let mut http = http.into_bytes();
    // The empty line is still in front of the body.
    http.extend_from_slice(body.get(2..).unwrap_or_default());
    Ok(http)
}
