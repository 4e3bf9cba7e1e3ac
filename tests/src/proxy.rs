//! A TCP proxy that stops the world after a given number of bytes, so that "a random moment of a
//! push" is a count and not a sleep.

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

    /// Waits while the world is stopped, then says how many bytes may pass; nothing when the
    /// connection is to be dropped.
    fn admit(&self, direction: Direction, bytes: &[u8]) -> Option<usize> {
        let mut state = self.lock();
        if !state.stopped {
            let admitted = state.admit(direction, bytes);
            if admitted < bytes.len() {
                state.stopped = true;
                self.changed.notify_all();
            }
            return Some(admitted);
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
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        let (mut rest, _) = buffer.split_at(count);
        while !rest.is_empty() {
            let Some(admitted) = valve.admit(direction, rest) else {
                return close(&from, &to);
            };
            let (now, later) = rest.split_at(admitted);
            if to.write_all(now).is_err() {
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
