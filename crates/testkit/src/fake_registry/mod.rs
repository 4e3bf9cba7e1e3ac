//! A registry on loopback: distribution-spec v1.1, Docker's token authentication, and faults on demand.

mod fault;
pub(crate) mod http;
mod serve;
mod store;
pub(crate) mod tls;
mod token;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use kigumi_oci::Digest;

pub use fault::{Action, Fault, When};
pub use tls::Identity;
pub use token::Authentication;

use http::{Request, Response};
use store::Store;
use token::Tokens;

/// How the registry takes requests to mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mounts {
    /// 201 when the blob is in the source.
    #[default]
    Accepted,
    /// 202 and an upload, as the specification lets a registry do.
    Refused,
}

/// One request as it came, and what was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedRequest {
    /// The method.
    pub method: String,
    /// The path without query.
    pub path: String,
    /// The query, decoded pairs in order.
    pub query: Vec<(String, String)>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// How many bytes of body were read.
    pub body_bytes: u64,
    /// The status that was answered, 0 when the connection was dropped instead.
    pub status: u16,
}

impl LoggedRequest {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The first query parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// `METHOD path status`.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.method, self.path, self.status)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// A running registry; it stops when dropped.
#[derive(Debug)]
pub struct FakeRegistry {
    address: SocketAddr,
    shared: Arc<Shared>,
    certificate: Option<String>,
}

/// What a registry is started with.
#[derive(Debug, Default)]
pub struct FakeRegistryBuilder {
    authentication: Authentication,
    mounts: Mounts,
    certified: Option<Vec<String>>,
    client_authority: Option<String>,
}

#[derive(Debug)]
struct Shared {
    authority: String,
    authentication: Authentication,
    mounts: Mounts,
    stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    tokens: Tokens,
    faults: Vec<Fault>,
    log: Vec<LoggedRequest>,
    begun: Vec<String>,
}

impl FakeRegistryBuilder {
    /// Who may do what.
    #[must_use]
    pub fn authentication(mut self, authentication: Authentication) -> Self {
        self.authentication = authentication;
        self
    }

    /// How mounts are taken.
    #[must_use]
    pub const fn mounts(mut self, mounts: Mounts) -> Self {
        self.mounts = mounts;
        self
    }

    /// Speaks TLS, with a self-signed certificate for these names and addresses.
    #[must_use]
    pub fn tls(mut self, names: &[&str]) -> Self {
        self.certified = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Speaks TLS with nobody but those who have a certificate of this authority, PEM.
    #[must_use]
    pub fn only_for_clients_of(mut self, authority: &str) -> Self {
        self.client_authority = Some(authority.to_owned());
        self
    }

    /// Starts the registry on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When there is no loopback to listen on.
    pub fn start(self) -> FakeRegistry {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound listener");
        let shared = Arc::new(Shared {
            authority: address.to_string(),
            authentication: self.authentication,
            mounts: self.mounts,
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let clients = self.client_authority;
        let server = self
            .certified
            .map(|names| tls::Server::new(names, clients.as_deref()));
        let certificate = server.as_ref().map(|server| server.certificate.clone());
        thread::spawn(move || accept(&listener, &serving, server.as_ref()));
        FakeRegistry {
            address,
            shared,
            certificate,
        }
    }
}

impl FakeRegistry {
    /// A registry that lets everybody do everything.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A registry with something special about it.
    pub fn builder() -> FakeRegistryBuilder {
        FakeRegistryBuilder::default()
    }

    /// `127.0.0.1:port`, as it stands in references.
    pub fn authority(&self) -> &str {
        &self.shared.authority
    }

    /// The certificate, PEM; empty without TLS.
    pub fn certificate(&self) -> &str {
        self.certificate.as_deref().unwrap_or_default()
    }

    /// A reference into this registry: `reference("app:1")`.
    pub fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.shared.authority)
    }

    /// Stores a blob.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        self.shared.lock().store.put_blob(repository, bytes)
    }

    /// Stores a manifest without looking at it: also one that no client may push.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: &[u8],
    ) -> Digest {
        let mut state = self.shared.lock();
        state.store.put_manifest(repository, tag, media_type, bytes)
    }

    /// Opens an upload and gives its path and query, for those whom another registry sends here.
    pub fn open_upload(&self, repository: &str) -> String {
        let id = self.shared.lock().store.open_upload(repository);
        serve::upload_path(repository, &id)
    }

    /// Whether a blob is in a repository.
    pub fn has_blob(&self, repository: &str, digest: Digest) -> bool {
        self.shared.lock().store.blob(repository, digest).is_some()
    }

    /// The bytes of a blob.
    pub fn blob(&self, repository: &str, digest: Digest) -> Option<Vec<u8>> {
        let state = self.shared.lock();
        state
            .store
            .blob(repository, digest)
            .map(|blob| blob.to_vec())
    }

    /// Media type and bytes of what a tag or digest names.
    pub fn manifest(&self, repository: &str, target: &str) -> Option<(String, Vec<u8>)> {
        let state = self.shared.lock();
        let manifest = state.store.manifest(repository, target)?;
        Some((manifest.media_type.clone(), manifest.bytes.to_vec()))
    }

    /// Makes the next matching requests go wrong.
    pub fn fail(&self, fault: Fault) {
        self.shared.lock().faults.push(fault);
    }

    /// Takes back the faults that are still to come.
    pub fn heal(&self) {
        self.shared.lock().faults.clear();
    }

    /// Makes every token that was given out worthless.
    pub fn expire_tokens(&self) {
        self.shared.lock().tokens.clear();
    }

    /// All requests so far, in the order in which they were answered.
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.shared.lock().log.clone()
    }

    /// The requests of one method so far.
    pub fn requests(&self, method: &str) -> Vec<LoggedRequest> {
        let mut log = self.log();
        log.retain(|request| request.method == method);
        log
    }

    /// How many requests of this method have begun: their head is read, their body perhaps not yet.
    pub fn begun(&self, method: &str) -> usize {
        let state = self.shared.lock();
        state.begun.iter().filter(|begun| *begun == method).count()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        let mut state = self.shared.lock();
        state.log.clear();
        state.begun.clear();
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // The listener sees the flag at the next connection: this one.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, server: Option<&tls::Server>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            continue;
        };
        let shared = Arc::clone(shared);
        let config = server.map(|server| Arc::clone(&server.config));
        thread::spawn(move || {
            // A client that goes away is none of the registry's business.
            drop(match config {
                Some(config) => tls::stream(config, stream).and_then(|s| converse(s, &shared)),
                None => stream
                    .set_nodelay(true)
                    .and_then(|()| converse(stream, &shared)),
            });
        });
    }
}

fn converse(stream: impl Read + Write, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = Request::read_head(&mut reader)? {
        let fault = {
            let mut state = shared.lock();
            state.begun.push(request.method.clone());
            fault::take(&mut state.faults, &request)
        };
        if let Some(Action::DropRequestAfter(bytes)) = fault {
            request.read_some(&mut reader, bytes)?;
            log(shared, &request, 0);
            return Ok(());
        }
        if request.expects_continue() {
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.read_body(&mut reader)?;
        if let Some(Action::KeepRequestAfter(bytes)) = fault {
            request.body.truncate(bytes);
            drop(serve::answer(shared, &request));
            log(shared, &request, 0);
            return Ok(());
        }
        if fault == Some(Action::ExpireTokens) {
            shared.lock().tokens.clear();
        }
        let response = match &fault {
            Some(Action::Answer {
                status,
                headers,
                body,
            }) => Response::of(*status, headers, body.clone()),
            _ => serve::answer(shared, &request),
        };
        let status = response.status;
        // Logged before it is sent: who has the answer finds the request in the log.
        log(shared, &request, status);
        let writer = reader.get_mut();
        let go_on = fault::send(writer, &request, response, fault.as_ref(), &shared.stopped)?;
        if !go_on {
            return Ok(());
        }
    }
    Ok(())
}

fn log(shared: &Shared, request: &Request, status: u16) {
    shared.lock().log.push(LoggedRequest {
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.headers.clone(),
        body_bytes: request.body.len() as u64,
        status,
    });
}
