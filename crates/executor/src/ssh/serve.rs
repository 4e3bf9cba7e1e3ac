use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::agent::{Agent, Session, receive, send};

/// How many clients are heard at once; further ones are hung up on.
const MOST_CLIENTS: usize = 64;

/// A socket that is served until this is dropped: then nobody is answered any more.
pub struct Serving {
    /// Readable when the end has come.
    end: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Serves `agent` at `listener` from now on.
    ///
    /// # Errors
    /// No descriptor or no thread is left.
    pub fn start(listener: UnixListener, agent: Arc<Agent>) -> io::Result<Self> {
        // A client that hangs up between poll and accept must not make us wait for the next one.
        listener.set_nonblocking(true)?;
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let told = Arc::clone(&end);
        let thread = thread::Builder::new()
            .name("ssh agent".to_owned())
            .spawn(move || serve(&listener, &told, &agent))?;
        Ok(Self {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Err(error) = rustix::io::write(&self.end, &1_u64.to_ne_bytes()) {
            tracing::error!(%error, "end the ssh agent");
            return;
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the ssh agent ended in a panic");
        }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

/// The connections there are, so that all of them can be ended.
#[derive(Default)]
struct Connections(Mutex<Open>);

#[derive(Default)]
struct Open {
    ended: bool,
    next: u64,
    streams: BTreeMap<u64, UnixStream>,
}

impl Connections {
    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a connection; `None` when it is too late for one, or there are too many.
    fn remember(&self, stream: &UnixStream) -> Option<u64> {
        let mut open = self.lock();
        if open.ended || open.streams.len() >= 2 * MOST_CLIENTS {
            return None;
        }
        let number = open.next;
        open.next += 1;
        open.streams.insert(number, stream.try_clone().ok()?);
        Some(number)
    }

    fn forget(&self, number: u64) {
        self.lock().streams.remove(&number);
    }

    fn end(&self) {
        let mut open = self.lock();
        open.ended = true;
        for stream in open.streams.values() {
            // One that the other side has closed is at its end already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn serve(listener: &UnixListener, end: &OwnedFd, agent: &Agent) {
    let connections = Connections::default();
    thread::scope(|scope| {
        while wait(listener, end) {
            let Ok((client, _)) = listener.accept() else {
                continue;
            };
            let Some(number) = connections.remember(&client) else {
                continue;
            };
            let connections = &connections;
            let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                if let Err(error) = converse(client, agent, connections) {
                    tracing::debug!(%error, "a client of the ssh agent");
                }
                connections.forget(number);
            });
            if spawned.is_err() {
                connections.forget(number);
            }
        }
        connections.end();
    });
}

/// Waits for a client; false when the end has come.
fn wait(listener: &UnixListener, end: &OwnedFd) -> bool {
    loop {
        let mut events = [
            PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
        ];
        match poll(&mut events, None) {
            Ok(_) => return events.first().is_some_and(|end| end.revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn converse(mut client: UnixStream, agent: &Agent, connections: &Connections) -> io::Result<()> {
    // It inherits nothing from the listener on Linux; said for whoever reads this.
    client.set_nonblocking(false)?;
    let mut session = agent.open()?;
    let upstream = match &session {
        Session::Proxy(upstream) => match connections.remember(upstream) {
            Some(number) => Some(number),
            None => return Ok(()),
        },
        Session::Keys(_) => None,
    };
    let result = answer_all(&mut client, &mut session);
    if let Some(number) = upstream {
        connections.forget(number);
    }
    result
}

fn answer_all(client: &mut UnixStream, session: &mut Session<'_>) -> io::Result<()> {
    while let Some(request) = receive(client)? {
        send(client, &session.answer(&request)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::ssh::key::PrivateKey;
    use crate::ssh::key::tests::ed25519;

    const LIST: &[u8] = &[11];

    fn agent() -> Arc<Agent> {
        Arc::new(Agent::of_keys(vec![
            PrivateKey::parse(&ed25519(3, "three")).unwrap(),
        ]))
    }

    fn ask(client: &mut UnixStream, request: &[u8]) -> Vec<u8> {
        send(client, request).unwrap();
        receive(client).unwrap().unwrap()
    }

    #[test]
    fn several_clients_are_answered_at_once_and_nobody_when_it_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let serving = Serving::start(UnixListener::bind(&path).unwrap(), agent()).unwrap();
        let mut one = UnixStream::connect(&path).unwrap();
        let mut other = UnixStream::connect(&path).unwrap();
        assert_eq!(ask(&mut other, LIST), ask(&mut one, LIST));
        drop(serving);
        assert_eq!(one.read(&mut [0]).unwrap(), 0);
        UnixStream::connect(&path).unwrap_err();
    }

    // T-MNT-17
    #[test]
    fn another_agent_is_asked_for_what_clients_may_ask_and_for_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let (upstream, path) = (directory.path().join("up"), directory.path().join("s"));
        let listener = UnixListener::bind(&upstream).unwrap();
        let heard = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            while let Some(request) = receive(&mut stream).unwrap() {
                send(&mut stream, b"\x0cthe list").unwrap();
                heard.push(request);
            }
            heard
        });
        let proxy = Arc::new(Agent::proxy(&upstream));
        let serving = Serving::start(UnixListener::bind(&path).unwrap(), proxy).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        // Remove all, lock, extension.
        for request in [&[19][..], &[22, 0, 0, 0, 0], &[27, 0, 0, 0, 0]] {
            assert_eq!(ask(&mut client, request), [5]);
        }
        assert_eq!(ask(&mut client, LIST), b"\x0cthe list");
        drop(serving);
        assert_eq!(heard.join().unwrap(), [LIST]);
    }

    #[test]
    fn an_agent_that_is_asked_in_vain_does_not_hold_the_end_up() {
        let directory = tempfile::tempdir().unwrap();
        let (upstream, path) = (directory.path().join("up"), directory.path().join("s"));
        let listener = UnixListener::bind(&upstream).unwrap();
        let proxy = Arc::new(Agent::proxy(&upstream));
        let serving = Serving::start(UnixListener::bind(&path).unwrap(), proxy).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        send(&mut client, LIST).unwrap();
        let (mut asked, _) = listener.accept().unwrap();
        assert_eq!(receive(&mut asked).unwrap().unwrap(), LIST);
        drop(serving);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_client_that_talks_nonsense_is_hung_up_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _serving = Serving::start(UnixListener::bind(&path).unwrap(), agent()).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        io::Write::write_all(&mut client, &[0xff; 4]).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        let mut next = UnixStream::connect(&path).unwrap();
        assert_eq!(ask(&mut next, LIST).first(), Some(&12));
    }
}
