//! A read-only web server: the registry of the cases and their plain files.
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

#[derive(Debug)]
struct Shared {
    resources: BTreeMap<String, Resource>,
    log: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Server {
    /// Listens on loopback and answers with these resources, by path.
    pub(crate) fn start(resources: BTreeMap<String, Resource>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
        Self::serve_at(listener, resources)
    }

    /// The same on port 80 of an address that nobody else has: a host of its own, which a name can stand for.
    pub(crate) fn start_as_host(resources: BTreeMap<String, Resource>) -> Result<Self> {
        const FIRST: Ipv4Addr = Ipv4Addr::new(127, 80, 0, 1);
        const HOSTS: u32 = 1 << 12;
        let listener = (0..HOSTS).find_map(|number| {
            let address = Ipv4Addr::from_bits(FIRST.to_bits() + number);
            TcpListener::bind((address, 80)).ok()
        });
        let listener = listener.context("listen on port 80 of a loopback address: needs root")?;
        Self::serve_at(listener, resources)
    }

    fn serve_at(listener: TcpListener, resources: BTreeMap<String, Resource>) -> Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            resources,
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
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut length = 0_u64;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header)?;
                let header = header.trim().to_ascii_lowercase();
                if header.is_empty() {
                    break;
                }
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse()?;
                }
            }
            std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
            writer.write_all(&self.answer(&line))?;
            writer.flush()?;
        }
    }

    fn answer(&self, request: &str) -> Vec<u8> {
        let mut words = request.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let path = path_of(target);
        let missing = Resource {
            status: 404,
            headers: BTreeMap::new(),
            body: Arc::from([]),
        };
        let readable = matches!(method, "GET" | "HEAD");
        let resource = self
            .resources
            .get(path)
            .filter(|_| readable)
            .unwrap_or(&missing);
        let log = format!("{method} {path} {}", resource.status);
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(log);
        let mut answer = format!(
            "HTTP/1.1 {} conformance\r\nContent-Length: {}\r\n",
            resource.status,
            resource.body.len()
        );
        let headers = resource.headers.iter();
        answer.extend(headers.map(|(name, value)| format!("{name}: {value}\r\n")));
        answer.push_str("\r\n");
        let mut answer = answer.into_bytes();
        if method != "HEAD" {
            answer.extend_from_slice(&resource.body);
        }
        answer
    }
}

/// The path of a request target, in origin form or absolute form, without its query.
fn path_of(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| rest.split_at(at).1),
        None => target,
    };
    path.split('?').next().unwrap_or(path)
}
