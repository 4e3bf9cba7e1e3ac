//! Repositories of a case, and the server that has them: git's own, as a CGI program.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::case::Entry;
use super::server::{Request, Server, Site};
use super::tree::materialise;
use crate::tool;

/// A repository: what happened in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// In their order.
    pub commits: Vec<Commit>,
    /// The default branch.
    #[serde(default = "main")]
    pub head: String,
}

/// One commit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// What is written.
    #[serde(default)]
    pub files: Vec<Entry>,
    /// What is removed.
    #[serde(default)]
    pub remove: Vec<String>,
    /// What is said about it.
    #[serde(default = "unnamed")]
    pub message: String,
    /// A tag that points to it.
    pub tag: Option<String>,
    /// A tag that is an object of its own.
    pub annotated_tag: Option<String>,
    /// A branch that is begun with it.
    pub branch: Option<String>,
}

fn main() -> String {
    "main".to_owned()
}

fn unnamed() -> String {
    "commit".to_owned()
}

/// All repositories of a case, bare, below one directory.
#[derive(Debug)]
pub(crate) struct Repositories {
    directory: TempDir,
    /// Ids of commits, by repository.
    ids: BTreeMap<String, Vec<String>>,
}

impl Repositories {
    pub(crate) fn make(repositories: &BTreeMap<String, Repository>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("repositories-").tempdir()?;
        let mut ids = BTreeMap::new();
        for (name, repository) in repositories {
            let made = make(directory.path(), name, repository);
            let made = made.with_context(|| format!("make repository {name}"))?;
            ids.insert(name.clone(), made);
        }
        Ok(Self { directory, ids })
    }

    /// Every id of a commit with its placeholder, the full ones first.
    pub(crate) fn placeholders(&self) -> Vec<(String, String)> {
        let all = || {
            self.ids.iter().flat_map(|(name, ids)| {
                let numbered = ids.iter().enumerate();
                numbered.map(move |(number, id)| (id.clone(), format!("git:{name}:{number}")))
            })
        };
        let full = all().map(|(id, name)| (id, format!("{{{{{name}}}}}")));
        let short = all().map(|(id, name)| {
            let short = id.chars().take(12).collect();
            (short, format!("{{{{{name}:short}}}}"))
        });
        full.chain(short).collect()
    }

    /// Answers a request for `path` below all repositories.
    pub(crate) fn answer(&self, path: &str, request: &Request) -> Result<Vec<u8>> {
        let length = request.body.len().to_string();
        let mut child = git(self.directory.path())
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", self.directory.path())
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", request.query())
            .env("REQUEST_METHOD", &request.method)
            .env("CONTENT_LENGTH", length)
            .env("CONTENT_TYPE", request.header("content-type"))
            .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
            .env("GIT_PROTOCOL", request.header("git-protocol"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start git http-backend")?;
        let mut stdin = child.stdin.take().context("its input")?;
        stdin.write_all(&request.body)?;
        drop(stdin);
        let output = child.wait_with_output()?;
        as_http(&output.stdout)
    }
}

/// A server of repositories alone, below `/git`.
#[derive(Debug)]
pub struct GitHost {
    server: Server,
    ids: BTreeMap<String, Vec<String>>,
}

impl GitHost {
    /// Serves repositories, described as in `case.json`, to those who send `key` as `Authorization`.
    pub fn start(repositories: Value, key: Option<&str>) -> Result<Self> {
        let described = serde_json::from_value(repositories).context("parse repositories")?;
        let repositories = Repositories::make(&described)?;
        let ids = repositories.ids.clone();
        let server = Server::start(Site {
            resources: BTreeMap::new(),
            repositories,
            key: key.map(str::to_owned),
        })?;
        Ok(Self { server, ids })
    }

    /// `127.0.0.1:port`
    pub fn authority(&self) -> String {
        self.server.address().to_string()
    }

    /// Where a repository is.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/git/{name}", self.authority())
    }

    /// The id of a commit, by its number.
    pub fn commit(&self, name: &str, number: usize) -> Result<&str> {
        let found = self.ids.get(name).and_then(|ids| ids.get(number));
        found.map(String::as_str).context("no such commit")
    }

    /// Every request so far: method, path, status.
    pub fn requests(&self) -> Vec<String> {
        self.server.requests()
    }
}

/// The answer of a CGI program (RFC 3875 § 6) as one of HTTP.
fn as_http(answer: &[u8]) -> Result<Vec<u8>> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.context("an answer without headers")?;
    let (head, body) = answer.split_at(end + 4);
    let head = String::from_utf8_lossy(head);
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let headers = head
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("Status:"));
    let mut http = format!("HTTP/1.1 {status}\r\n");
    for line in headers {
        http.push_str(line);
        http.push_str("\r\n");
    }
    http.push_str("Content-Length: ");
    http.push_str(&body.len().to_string());
    http.push_str("\r\n\r\n");
    let mut http = http.into_bytes();
    http.extend_from_slice(body);
    Ok(http)
}

fn make(directory: &Path, name: &str, repository: &Repository) -> Result<Vec<String>> {
    let work = tempfile::Builder::new()
        .prefix("work-")
        .tempdir_in(directory)?;
    let work = work.path();
    let head = format!("--initial-branch={}", repository.head);
    tool::run(git(work).args(["init", "--quiet", &head]))?;
    let mut ids = Vec::new();
    for commit in &repository.commits {
        ids.push(record(work, commit)?);
    }
    tool::run(git(work).args(["checkout", "--quiet", &repository.head]))?;
    ensure!(!name.contains('/'), "`{name}` is a path");
    let bare = directory.join(name).display().to_string();
    tool::run(git(work).args(["clone", "--quiet", "--bare", ".", &bare]))?;
    Ok(ids)
}

fn record(work: &Path, commit: &Commit) -> Result<String> {
    if let Some(branch) = &commit.branch {
        tool::run(git(work).args(["checkout", "--quiet", "-B", branch]))?;
    }
    let changed = commit.files.iter().map(|entry| &entry.path);
    for path in changed.chain(&commit.remove) {
        tool::run(git(work).args(["rm", "-r", "-f", "--quiet", "--ignore-unmatch", "--", path]))?;
    }
    materialise(work, &commit.files)?;
    // Every file has the same time and many have the same size: git must not go by them.
    let index = work.join(".git/index");
    if index.exists() {
        fs::remove_file(index)?;
    }
    tool::run(git(work).args(["add", "--all", "--force"]))?;
    let message = &commit.message;
    tool::run(git(work).args(["commit", "--quiet", "--allow-empty", "--message", message]))?;
    if let Some(tag) = &commit.tag {
        tool::run(git(work).args(["tag", tag]))?;
    }
    if let Some(tag) = &commit.annotated_tag {
        tool::run(git(work).args(["tag", "--annotate", "--message", message, tag]))?;
    }
    let id = tool::run(git(work).args(["rev-parse", "HEAD"]))?;
    Ok(id.stdout.trim().to_owned())
}

/// git, which sees nothing of this machine's configuration.
fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(directory).env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    for (name, value) in [
        ("HOME", "/nonexistent"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_AUTHOR_NAME", "author"),
        ("GIT_AUTHOR_EMAIL", "author@example.invalid"),
        ("GIT_AUTHOR_DATE", "1000000000 +0000"),
        ("GIT_COMMITTER_NAME", "author"),
        ("GIT_COMMITTER_EMAIL", "author@example.invalid"),
        ("GIT_COMMITTER_DATE", "1000000000 +0000"),
    ] {
        command.env(name, value);
    }
    command
}
