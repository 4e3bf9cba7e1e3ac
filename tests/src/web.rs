//! A web server that does as a test says, and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

/// A running server on loopback, where pods reach it; it ends when dropped.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What a path is answered with.
#[derive(Debug, Clone)]
pub struct WebAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How much of the body is sent before the connection ends.
    sent: usize,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRequest {
    /// Path and query.
    pub target: String,
    /// `Authorization`.
    pub authorization: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, VecDeque<WebAnswer>>>,
    log: Mutex<Vec<WebRequest>>,
    stopped: AtomicBool,
}

impl WebAnswer {
    /// 200 with this body.
    pub fn file(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            status: 200,
            headers: Vec::new(),
            sent: body.len(),
            body,
        }
    }

    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::file("")
        }
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self::status(302).header("Location", to)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The connection ends after so many bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.sent = bytes;
        self
    }
}

impl Web {
    /// Starts a server that knows nothing yet.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
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

    /// Answers a path so, in this order; the last answer goes on for ever.
    #[must_use]
    pub fn answering(self, path: &str, answers: impl IntoIterator<Item = WebAnswer>) -> Self {
        let answers = answers.into_iter().collect();
        lock(&self.shared.answers).insert(path.to_owned(), answers);
        self
    }

    /// `host:port`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked for so far.
    pub fn requests(&self) -> Vec<WebRequest> {
        lock(&self.shared.log).clone()
    }
}

impl Drop for Web {
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
            let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let mut authorization = None;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header)?;
                match header.trim().split_once(':') {
                    Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                        authorization = Some(value.trim().to_owned());
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            let answer = self.answer(&target);
            lock(&self.log).push(WebRequest {
                target,
                authorization,
            });
            let mut head = format!("HTTP/1.1 {} -\r\n", answer.status);
            let length = ("Content-Length".to_owned(), answer.body.len().to_string());
            for (name, value) in answer.headers.iter().chain([&length]) {
                head.extend([name, ": ", value, "\r\n"]);
            }
            writer.write_all(head.as_bytes())?;
            writer.write_all(b"\r\n")?;
            let (sent, kept) = answer.body.split_at(answer.sent);
            writer.write_all(sent)?;
            writer.flush()?;
            if !kept.is_empty() {
                return Ok(());
            }
        }
    }

    fn answer(&self, target: &str) -> WebAnswer {
        let path = target.split('?').next().unwrap_or_default();
        let mut answers = lock(&self.answers);
        let Some(answers) = answers.get_mut(path) else {
            return WebAnswer::status(404);
        };
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        answer.unwrap_or_else(|| WebAnswer::status(404))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
