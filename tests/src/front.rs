//! A registry's front door that turns some requests away: what the network, a proxy or a busy registry do to a build.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

/// What happens to a request instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// This status, and an error in the form of the distribution specification.
    Status(u16),
    /// The connection ends without an answer.
    Reset,
}

/// A request as it came, and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// None if the registry answered it.
    pub trouble: Option<Trouble>,
}

/// A server in front of a registry, which passes on what it does not turn away. It lives as long as the process.
#[derive(Debug)]
pub struct Front {
    address: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

/// Says what happens to a request: its method, its target, and those that came before.
type Judge = dyn Fn(&str, &str, &[Asked]) -> Option<Trouble> + Send + Sync;

impl Front {
    /// Listens on loopback, in front of what listens at `upstream`.
    pub fn start(
        upstream: &str,
        judge: impl Fn(&str, &str, &[Asked]) -> Option<Trouble> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
        let address = listener.local_addr()?.to_string();
        let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (own, judge): (_, Arc<Judge>) = (Arc::clone(&log), Arc::new(judge));
        let upstream = upstream.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (log, judge, upstream) =
                    (Arc::clone(&own), Arc::clone(&judge), upstream.clone());
                // A client that goes away has its own reason.
                thread::spawn(move || drop(serve(&client, &upstream, &log, &*judge)));
            }
        });
        Ok(Self { address, log })
    }

    /// `host:port`, as a reference begins.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.log).clone()
    }
}

/// One request; its connection ends with its answer.
fn serve(
    client: &TcpStream,
    upstream: &str,
    log: &Mutex<Vec<Asked>>,
    judge: &Judge,
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 2 {
        // The server is told below that nothing more comes.
        if !line.to_ascii_lowercase().starts_with(b"connection:") {
            head.extend_from_slice(&line);
        }
        line.clear();
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split(' ').map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(());
    };
    let trouble = {
        let mut log = lock(log);
        let trouble = judge(&method, &target, &log);
        log.push(Asked {
            method,
            target,
            trouble,
        });
        trouble
    };
    match trouble {
        Some(Trouble::Reset) => client.shutdown(Shutdown::Both),
        Some(Trouble::Status(status)) => refuse(client, &mut reader, status),
        None => {
            head.extend_from_slice(b"Connection: close\r\n\r\n");
            pass(client, reader, upstream, &head)
        }
    }
}

fn refuse(
    mut client: &TcpStream,
    reader: &mut BufReader<TcpStream>,
    status: u16,
) -> io::Result<()> {
    let code = if status < 500 {
        "DENIED"
    } else {
        "UNAVAILABLE"
    };
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"turned away"}}]}}"#);
    write!(
        client,
        "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    client.shutdown(Shutdown::Write)?;
    // What the client still sends: if nobody read it, the answer might be lost.
    io::copy(reader, &mut io::sink()).map(drop)
}

fn pass(
    mut client: &TcpStream,
    mut reader: BufReader<TcpStream>,
    upstream: &str,
    head: &[u8],
) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(head)?;
    let mut sink = server.try_clone()?;
    // It ends when the client is done, or when the answer is.
    let body = thread::spawn(move || drop(io::copy(&mut reader, &mut sink)));
    let answered = io::copy(&mut server, &mut client);
    client.shutdown(Shutdown::Both)?;
    drop(body.join());
    answered.map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
