//! Git servers on loopback: git's own program, over HTTP (as a CGI program) and over its own protocol.

mod cgi;
mod repository;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

pub use repository::TestRepository;

/// One request that reached a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// With its query.
    pub target: String,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
}

/// How a server behaves.
#[derive(Debug, Clone, Default)]
pub struct GitServerOptions {
    /// The value of `Authorization` without which every answer is 401.
    pub authorization: Option<String>,
    /// The first version of the protocol is all it knows.
    pub old_protocol: bool,
    /// Commits are given only where a branch or tag points to them, as by servers that do not trust their clients.
    pub only_tips: bool,
    /// Where every GET is sent instead: `http://host:port`.
    pub moved_to: Option<String>,
    /// Answers everything with a page instead.
    pub page: Option<(u16, String)>,
}

/// A server with repositories. It ends when dropped.
#[derive(Debug)]
pub struct GitServer {
    http: SocketAddr,
    daemon: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    options: GitServerOptions,
    requests: Mutex<Vec<GitRequest>>,
    stopped: AtomicBool,
}

impl GitServer {
    /// Serves the repositories that will be made below an empty directory.
    pub fn start(directory: &Path) -> Self {
        Self::with(directory, GitServerOptions::default())
    }

    /// The same, with another behaviour.
    ///
    /// # Panics
    /// When it cannot listen.
    #[expect(clippy::expect_used, reason = "a test that cannot listen has failed")]
    pub fn with(directory: &Path, options: GitServerOptions) -> Self {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen on loopback");
        let (http, daemon) = (listen(), listen());
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            options,
            requests: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let server = Self {
            http: http.local_addr().expect("an address"),
            daemon: daemon.local_addr().expect("an address"),
            shared: Arc::clone(&shared),
        };
        accept(http, Arc::clone(&shared), |shared, client| {
            shared.serve_http(&client)
        });
        accept(daemon, shared, Shared::serve_git);
        server
    }

    /// `http://127.0.0.1:port/name`
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.http)
    }

    /// `git://127.0.0.1:port/name`
    pub fn git_url(&self, name: &str) -> String {
        format!("git://{}/{name}", self.daemon)
    }

    /// `127.0.0.1:port`
    pub fn authority(&self) -> String {
        self.http.to_string()
    }

    /// A new repository, empty, with the branch `main`.
    pub fn repository(&self, name: &str) -> TestRepository {
        TestRepository::make(&self.shared.directory, name)
    }

    /// Every request over HTTP so far.
    pub fn requests(&self) -> Vec<GitRequest> {
        self.shared.log().clone()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The listeners see the flag with their next client.
        drop(TcpStream::connect(self.http));
        drop(TcpStream::connect(self.daemon));
    }
}

fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    serve: impl Fn(&Shared, TcpStream) -> io::Result<()> + Copy + Send + 'static,
) {
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if shared.stopped.load(Ordering::SeqCst) {
                break;
            }
            let shared = Arc::clone(&shared);
            // A client that goes away has its own reason.
            thread::spawn(move || drop(serve(&shared, client)));
        }
    });
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Vec<GitRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request per connection.
    fn serve_http(&self, client: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client);
        let Some(request) = cgi::Request::read(&mut reader)? else {
            return Ok(());
        };
        let authorization = request.header("authorization").map(str::to_owned);
        self.log().push(GitRequest {
            method: request.method.clone(),
            target: request.target.clone(),
            authorization: authorization.clone(),
        });
        let options = &self.options;
        let answer = if let Some((status, page)) = &options.page {
            cgi::page(*status, "Content-Type: text/html", page)
        } else if let (Some(place), "GET") = (&options.moved_to, request.method.as_str()) {
            cgi::page(302, &format!("Location: {place}{}", request.target), "")
        } else if options.authorization.is_some() && authorization != options.authorization {
            cgi::page(401, "WWW-Authenticate: Basic realm=\"test\"", "")
        } else if let Some(id) = self.forbidden(&request) {
            cgi::refusal(&id)
        } else {
            cgi::answer(&self.directory, &request, options.old_protocol)?
        };
        let mut writer = client;
        writer.write_all(&answer)
    }

    /// A commit that is wanted, and that nothing points to.
    fn forbidden(&self, request: &cgi::Request) -> Option<String> {
        let path = request.target.strip_suffix("/git-upload-pack")?;
        let git_dir = self.directory.join(path.trim_start_matches('/'));
        let refs = repository::git(&git_dir)
            .args(["for-each-ref", "--format=%(objectname)"])
            .output()
            .ok()?;
        let refs = String::from_utf8_lossy(&refs.stdout).into_owned();
        let mut wants = request.wants().into_iter();
        wants.find(|id| self.options.only_tips && !refs.contains(id.as_str()))
    }

    fn serve_git(&self, client: TcpStream) -> io::Result<()> {
        let base = format!("--base-path={}", self.directory.display());
        let output = client.try_clone()?;
        let mut child = repository::git(&self.directory)
            .args(["daemon", "--inetd", "--export-all", &base])
            .stdin(Stdio::from(OwnedFd::from(client)))
            .stdout(Stdio::from(OwnedFd::from(output)))
            .stderr(Stdio::null())
            .spawn()?;
        child.wait().map(drop)
    }
}

/// Reads a line without its end; `None` at the end of the connection.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let count = reader.by_ref().take(1 << 16).read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim_end().to_owned()))
}
