//! How git reaches its servers: with the names, certificates and proxies of everything else.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use kigumi_context::git::{Cause, HttpAnswer, HttpRequest, Network};
use kigumi_registry::{Client, WebBody, WebRequest};
use kigumi_run::Cancel;
use tokio::runtime::Handle;
use tokio::sync::watch;
use url::Url;

use crate::build::workshop::{self, Stop};
use crate::error::BuildError;

/// How long is waited for a connection, and for the next byte of it.
const CONNECT: Duration = Duration::from_secs(20);
const STALL: Duration = Duration::from_mins(1);

/// The client of registries and the web, for blocking callers.
#[derive(Debug)]
pub(crate) struct GitNetwork<'a> {
    client: &'a Client,
    waiting: Waiting,
}

/// Waits for the network, or for the build to be told to end.
#[derive(Debug, Clone)]
struct Waiting {
    handle: Handle,
    cancel: Cancel,
    stopped: watch::Receiver<bool>,
}

impl Waiting {
    fn on<T>(
        &self,
        future: impl Future<Output = Result<T, kigumi_registry::Error>>,
    ) -> Result<T, Cause> {
        let answered = async { Ok::<_, BuildError>(future.await) };
        let outcome = workshop::wait(&self.handle, &self.cancel, &self.stopped, answered)?;
        outcome.map_err(Into::into)
    }
}

impl<'a> GitNetwork<'a> {
    pub(crate) fn new(client: &'a Client, handle: &Handle, stop: &Stop) -> Self {
        let (cancel, stopped) = stop.clone();
        let handle = handle.clone();
        Self {
            client,
            waiting: Waiting {
                handle,
                cancel,
                stopped,
            },
        }
    }
}

impl Network for GitNetwork<'_> {
    fn send(&self, request: HttpRequest<'_>) -> Result<HttpAnswer, Cause> {
        let request = WebRequest {
            url: request.url,
            headers: request.headers,
            authorization: request.authorization,
            body: request.body.map(Bytes::from),
            sent_by: request.sent_by,
        };
        let answer = self.waiting.on(self.client.exchange(&request))?;
        Ok(HttpAnswer {
            status: answer.status,
            content_type: answer.content_type,
            location: answer.location,
            body: Box::new(Body {
                waiting: self.waiting.clone(),
                rest: answer.body,
                piece: Bytes::new(),
            }),
        })
    }

    fn connect(&self, host: &str, port: u16, sent_by: Option<&Url>) -> Result<TcpStream, Cause> {
        let addresses = self.waiting.on(self.client.resolve_host(host, sent_by))?;
        let mut outcome = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        for address in addresses {
            outcome = TcpStream::connect_timeout(&SocketAddr::new(address, port), CONNECT);
            if outcome.is_ok() {
                break;
            }
        }
        let stream = outcome?;
        stream.set_read_timeout(Some(STALL))?;
        stream.set_write_timeout(Some(STALL))?;
        Ok(stream)
    }
}

/// The body of an answer, for a blocking reader.
struct Body {
    waiting: Waiting,
    rest: WebBody,
    piece: Bytes,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let next = self.waiting.on(self.rest.chunk());
            match next.map_err(io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece
            .copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}
