//! A service of the web as a function, and a proxy that leads the names of the web to it.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::fake_registry::http::{Request, Response};
use crate::fake_registry::tls;

/// A request as it came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServiceRequest {
    /// The method.
    pub method: String,
    /// The path without query.
    pub path: String,
    /// The query, decoded pairs in order.
    pub query: Vec<(String, String)>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl ServiceRequest {
    /// The first header of this name (lower case); empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        find(&self.headers, name)
    }

    /// The first parameter of this name in the query; empty when there is none.
    pub fn parameter(&self, name: &str) -> &str {
        find(&self.query, name)
    }

    /// The first field of this name in a form; empty when there is none.
    pub fn field(&self, name: &str) -> String {
        let mut form = url::form_urlencoded::parse(&self.body);
        let found = form.find(|(field, _)| field == name);
        found.map_or_else(String::new, |(_, value)| value.into_owned())
    }

    /// `METHOD host/path`
    pub fn line(&self) -> String {
        format!("{} {}{}", self.method, self.header("host"), self.path)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    let found = pairs.iter().find(|(key, _)| key == name);
    found.map_or("", |(_, value)| value.as_str())
}

/// What a service says.
#[derive(Debug)]
pub struct ServiceAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl ServiceAnswer {
    /// A status and a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// And a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

type Handler = dyn Fn(&ServiceRequest) -> ServiceAnswer + Send + Sync;

/// A running service; it stops when dropped.
#[derive(Debug)]
pub struct FakeService {
    address: SocketAddr,
    certificate: String,
    log: Arc<Mutex<Vec<ServiceRequest>>>,
    stopped: Arc<AtomicBool>,
}

impl FakeService {
    /// Over plain HTTP, on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When there is no loopback to listen on.
    pub fn start(
        handler: impl Fn(&ServiceRequest) -> ServiceAnswer + Send + Sync + 'static,
    ) -> Self {
        Self::serve(None, Arc::new(handler))
    }

    /// Over TLS, with a certificate for these names.
    ///
    /// # Panics
    /// When there is no loopback to listen on.
    pub fn start_tls(
        names: &[&str],
        handler: impl Fn(&ServiceRequest) -> ServiceAnswer + Send + Sync + 'static,
    ) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self::serve(Some(tls::Server::new(names, None)), Arc::new(handler))
    }

    fn serve(server: Option<tls::Server>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound listener");
        let log: Arc<Mutex<Vec<ServiceRequest>>> = Arc::default();
        let stopped: Arc<AtomicBool> = Arc::default();
        let certificate = server.as_ref().map(|server| server.certificate.clone());
        let config = server.map(|server| server.config);
        let (seen, end) = (Arc::clone(&log), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (config, handler, log) =
                    (config.clone(), Arc::clone(&handler), Arc::clone(&seen));
                thread::spawn(move || {
                    // A client that goes away is none of the service's business.
                    drop(match config {
                        Some(config) => tls::stream(config, stream)
                            .and_then(|stream| converse(stream, &*handler, &log)),
                        None => converse(stream, &*handler, &log),
                    });
                });
            }
        });
        Self {
            address,
            certificate: certificate.unwrap_or_default(),
            log,
            stopped,
        }
    }

    /// `127.0.0.1:port`
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate, PEM; empty without TLS.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// All requests so far.
    pub fn log(&self) -> Vec<ServiceRequest> {
        let log = self.log.lock();
        log.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// [`ServiceRequest::line`] of all requests so far.
    pub fn lines(&self) -> Vec<String> {
        self.log().iter().map(ServiceRequest::line).collect()
    }
}

impl Drop for FakeService {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // The listener sees the flag at the next connection: this one.
        drop(TcpStream::connect(self.address));
    }
}

fn converse(
    stream: impl Read + Write,
    handler: &Handler,
    log: &Mutex<Vec<ServiceRequest>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = Request::read_head(&mut reader)? {
        request.read_body(&mut reader)?;
        let head_only = request.method == "HEAD";
        let seen = ServiceRequest {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            body: request.body,
        };
        let answer = handler(&seen);
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
        Response::of(answer.status, &answer.headers, answer.body)
            .write(reader.get_mut(), head_only)?;
    }
    Ok(())
}

/// A proxy for HTTPS (CONNECT, RFC 9110 § 9.3.6) that leads every name to one address: names of the web are tested as they are.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    hosts: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
}

impl Tunnel {
    /// On a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When there is no loopback to listen on.
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound listener");
        let hosts: Arc<Mutex<Vec<String>>> = Arc::default();
        let stopped: Arc<AtomicBool> = Arc::default();
        let (seen, end) = (Arc::clone(&hosts), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let seen = Arc::clone(&seen);
                thread::spawn(move || drop(tunnel(stream, to, &seen)));
            }
        });
        Self {
            address,
            hosts,
            stopped,
        }
    }

    /// As `HTTPS_PROXY` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `host:port` of every connection so far.
    pub fn hosts(&self) -> Vec<String> {
        let hosts = self.hosts.lock();
        hosts.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
    }
}

fn tunnel(mut stream: TcpStream, to: SocketAddr, hosts: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    if words.next() != Some("CONNECT") {
        return stream.write_all(b"HTTP/1.1 405 -\r\nContent-Length: 0\r\n\r\n");
    }
    let host = words.next().unwrap_or_default().to_owned();
    hosts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(host);
    let mut upstream = TcpStream::connect(to)?;
    stream.write_all(b"HTTP/1.1 200 -\r\n\r\n")?;
    let (mut from, mut back) = (stream.try_clone()?, upstream.try_clone()?);
    thread::spawn(move || {
        drop(io::copy(&mut from, &mut back));
        drop(back.shutdown(std::net::Shutdown::Write));
    });
    drop(io::copy(&mut upstream, &mut stream));
    stream.shutdown(std::net::Shutdown::Write)
}
