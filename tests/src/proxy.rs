//! A TCP proxy that stops the world after a given number of bytes, so that "a random moment of a
//! push" is a count and not a sleep; or that breaks one connection there, as networks do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the registry.
    ToRegistry,
    /// From the registry to the client.
    FromRegistry,
}

/// A proxy in front of a registry.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    valve: Arc<Valve>,
}

#[derive(Debug, Default)]
struct Valve {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Counting begins with the first bytes to the registry that contain this.
    marker: Vec<u8>,
    counting: bool,
    to_registry: u64,
    from_registry: u64,
    limit: Option<(Direction, u64)>,
    stopped: bool,
    released: bool,
    /// Connections that are yet to be broken: each by its direction and the bytes it may carry.
    breaks: Vec<(Direction, u64)>,
}

/// What may pass of the bytes at hand.
#[derive(Debug, Clone, Copy)]
struct Passage {
    bytes: usize,
    /// Their connection ends after them.
    breaks: bool,
}

impl Proxy {
    /// Starts a proxy to an address; it lives as long as the process.
    ///
    /// Bytes are counted, in both directions, from the first request that contains `marker`
    /// (`POST /v2/` for pushes).
    pub fn start(upstream: &str, marker: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for the proxy")?;
        let address = listener.local_addr()?.to_string();
        let valve = Arc::new(Valve::default());
        valve.lock().marker = marker.as_bytes().to_vec();
        let upstream = upstream.to_owned();
        let acceptor = Arc::clone(&valve);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (valve, upstream) = (Arc::clone(&acceptor), upstream.clone());
                thread::spawn(move || connect(client, &upstream, &valve));
            }
        });
        Ok(Self { address, valve })
    }

    /// `host:port`, as a reference begins.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Lets exactly this many bytes pass in the direction and then nothing more in any.
    pub fn stop_after(&self, direction: Direction, bytes: u64) {
        self.valve.lock().limit = Some((direction, bytes));
    }

    /// Breaks the first connection that would carry more bytes than this in the direction, after exactly so many. All others live on, and
    /// so do those that come later.
    ///
    /// The bytes of one connection are counted, from its beginning: what goes on beside a large blob cannot be hit in its place.
    pub fn break_after(&self, direction: Direction, bytes: u64) {
        self.valve.lock().breaks.push((direction, bytes));
    }

    /// How many connections are yet to be broken.
    pub fn breaks_to_come(&self) -> usize {
        self.valve.lock().breaks.len()
    }

    /// Waits until the limit is reached; false when the time passes first or `ended` says that
    /// nothing more will come.
    pub fn wait_until_stopped(&self, timeout: Duration, mut ended: impl FnMut() -> bool) -> bool {
        const TICK: Duration = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        let mut state = self.valve.lock();
        while !state.stopped && waited < timeout && !ended() {
            let (next, _) = self
                .valve
                .changed
                .wait_timeout(state, TICK)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            waited += TICK;
        }
        state.stopped
    }

    /// Bytes that have passed in a direction since the marker.
    pub fn passed(&self, direction: Direction) -> u64 {
        self.valve.lock().passed(direction)
    }

    /// Drops every connection that was stopped and stops nothing any more.
    pub fn release(&self) {
        let mut state = self.valve.lock();
        state.limit = None;
        state.released = true;
        self.valve.changed.notify_all();
    }
}

impl State {
    fn passed(&self, direction: Direction) -> u64 {
        match direction {
            Direction::ToRegistry => self.to_registry,
            Direction::FromRegistry => self.from_registry,
        }
    }

    /// How many more bytes a connection may carry if it is to break within the next ones; that it breaks is settled then.
    fn break_within(&mut self, direction: Direction, carried: u64, next: usize) -> Option<usize> {
        let end = carried + next as u64;
        let is_due = |(way, limit): &(Direction, u64)| *way == direction && *limit < end;
        let due = self.breaks.iter().position(is_due)?;
        let (_, limit) = self.breaks.remove(due);
        usize::try_from(limit.saturating_sub(carried)).ok()
    }

    /// How many of these bytes may pass; fewer than offered means stop.
    fn admit(&mut self, direction: Direction, bytes: &[u8]) -> usize {
        if direction == Direction::ToRegistry && !self.counting {
            let length = self.marker.len().max(1);
            self.counting = self.marker.is_empty()
                || bytes
                    .windows(length)
                    .any(|window| window == self.marker.as_slice());
        }
        if !self.counting {
            return bytes.len();
        }
        let mut admitted = bytes.len();
        if let Some((limited, limit)) = self.limit
            && limited == direction
        {
            let left = limit.saturating_sub(self.passed(direction));
            admitted = admitted.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let count = admitted as u64;
        match direction {
            Direction::ToRegistry => self.to_registry += count,
            Direction::FromRegistry => self.from_registry += count,
        }
        admitted
    }
}

impl Valve {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the world is stopped, then says how many bytes may pass on a connection that has carried so many; nothing when it
    /// is to be dropped.
    fn admit(&self, direction: Direction, bytes: &[u8], carried: u64) -> Option<Passage> {
        let mut state = self.lock();
        if !state.stopped {
            let last = state.break_within(direction, carried, bytes.len());
            let (offered, _) = bytes.split_at(last.unwrap_or(bytes.len()));
            let admitted = state.admit(direction, offered);
            if admitted < offered.len() {
                state.stopped = true;
                self.changed.notify_all();
            }
            return Some(Passage {
                bytes: admitted,
                breaks: last.is_some(),
            });
        }
        while state.stopped && !state.released {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        None
    }
}

fn connect(client: TcpStream, upstream: &str, valve: &Arc<Valve>) {
    let Ok(server) = TcpStream::connect(upstream) else {
        return;
    };
    let (Ok(client_half), Ok(server_half)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    let other = Arc::clone(valve);
    thread::spawn(move || pump(server_half, client_half, Direction::FromRegistry, &other));
    pump(client, server, Direction::ToRegistry, valve);
}

fn pump(mut from: TcpStream, mut to: TcpStream, direction: Direction, valve: &Valve) {
    let mut buffer = vec![0_u8; 1 << 14];
    let mut carried = 0;
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        let (mut rest, _) = buffer.split_at(count);
        while !rest.is_empty() {
            let Some(passage) = valve.admit(direction, rest, carried) else {
                return close(&from, &to);
            };
            let (now, later) = rest.split_at(passage.bytes);
            carried += now.len() as u64;
            if to.write_all(now).is_err() || passage.breaks {
                return close(&from, &to);
            }
            rest = later;
        }
    }
    close(&from, &to);
}

/// The other side may already have closed; there is nothing left to do about it.
fn close(from: &TcpStream, to: &TcpStream) {
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
