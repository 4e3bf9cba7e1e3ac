//! A read-only web server: the registry of the cases, their plain files, their git repositories.
//!
//! It is also an HTTP proxy that never forwards: a request in absolute form is answered as if its host were this one. So
//! `FROM name` in a Dockerfile, which means Docker Hub, is answered here and the Dockerfile stays as it is.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

use super::git::Repositories;

/// What a path is answered with.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Arc<[u8]>,
}

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Everything that is answered with.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) resources: BTreeMap<String, Resource>,
    /// Below `/git`.
    pub(crate) repositories: Repositories,
    /// The value of `Authorization` without which repositories are closed.
    pub(crate) key: Option<String>,
}

/// What a client asks.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    target: String,
    /// Names in lower case.
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The value of a header; empty when it was not sent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// What stands behind the `?`.
    pub(crate) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

#[derive(Debug)]
struct Shared {
    site: Site,
    log: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Server {
    /// Listens on loopback and answers with these resources, by path.
    pub(crate) fn start(site: Site) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
        Self::serve_at(listener, site)
    }

    /// The same on port 80 of an address that nobody else has: a host of its own, which a name can stand for.
    pub(crate) fn start_as_host(site: Site) -> Result<Self> {
        const FIRST: Ipv4Addr = Ipv4Addr::new(127, 80, 0, 1);
        const HOSTS: u32 = 1 << 12;
        let listener = (0..HOSTS).find_map(|number| {
            let address = Ipv4Addr::from_bits(FIRST.to_bits() + number);
            TcpListener::bind((address, 80)).ok()
        });
        let listener = listener.context("listen on port 80 of a loopback address: needs root")?;
        Self::serve_at(listener, site)
    }

    fn serve_at(listener: TcpListener, site: Site) -> Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            site,
            log: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if own.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let own = Arc::clone(&own);
                // A client that goes away has its own reason.
                thread::spawn(move || drop(own.serve(&client)));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far: method, path, status.
    pub fn requests(&self) -> Vec<String> {
        self.shared
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The listener sees the flag with its next client. If nobody can connect it has ended already.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> Result<()> {
        let mut reader = BufReader::new(client);
        let mut writer = client;
        while let Some(request) = read(&mut reader)? {
            writer.write_all(&self.answer(&request))?;
            writer.flush()?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Vec<u8> {
        let path = path_of(&request.target);
        let log = |status| {
            let line = format!("{} {path} {status}", request.method);
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(line);
        };
        if let Some(path) = path.strip_prefix("/git") {
            let key = self.site.key.as_deref();
            if key.is_some_and(|key| key != request.header("authorization")) {
                log(401);
                return b"HTTP/1.1 401 closed\r\nContent-Length: 0\r\n\r\n".to_vec();
            }
            log(200);
            let failed = |error| format!("HTTP/1.1 500 {error}\r\n\r\n").into_bytes();
            let answered = self.site.repositories.answer(path, request);
            return answered.unwrap_or_else(failed);
        }
        let missing = Resource {
            status: 404,
            headers: BTreeMap::new(),
            body: Arc::from([]),
        };
        let readable = matches!(request.method.as_str(), "GET" | "HEAD");
        let resource = self.site.resources.get(path).filter(|_| readable);
        let resource = resource.unwrap_or(&missing);
        log(resource.status);
        let mut answer = format!(
            "HTTP/1.1 {} conformance\r\nContent-Length: {}\r\n",
            resource.status,
            resource.body.len()
        );
        let headers = resource.headers.iter();
        answer.extend(headers.map(|(name, value)| format!("{name}: {value}\r\n")));
        answer.push_str("\r\n");
        let mut answer = answer.into_bytes();
        if request.method != "HEAD" {
            answer.extend_from_slice(&resource.body);
        }
        answer
    }
}

/// The next request of a connection; `None` at its end.
fn read(reader: &mut BufReader<&TcpStream>) -> Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request = Request {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        ..Request::default()
    };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else {
            break;
        };
        let name = name.to_ascii_lowercase();
        request.headers.insert(name, value.trim().to_owned());
    }
    let length = request.header("content-length").parse().unwrap_or(0);
    reader
        .by_ref()
        .take(length)
        .read_to_end(&mut request.body)?;
    Ok(Some(request))
}

/// The path of a request target, in origin form or absolute form, without its query.
fn path_of(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| rest.split_at(at).1),
        None => target,
    };
    path.split('?').next().unwrap_or(path)
}
