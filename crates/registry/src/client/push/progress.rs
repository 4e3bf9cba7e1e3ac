use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::Spool;

/// How far a body has got.
pub(super) struct Progress {
    handed: AtomicU64,
    ended: AtomicBool,
    last: Mutex<Instant>,
}

impl Progress {
    /// A body that begins at `offset` of the spool.
    pub(super) fn new(offset: u64) -> Self {
        Self {
            handed: AtomicU64::new(offset),
            ended: AtomicBool::new(false),
            last: Mutex::new(Instant::now()),
        }
    }

    /// The offset in the spool up to which bytes were handed over.
    pub(super) fn handed(&self) -> u64 {
        self.handed.load(Ordering::Acquire)
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// Comes back when nothing has moved for too long though there was something to move.
    pub(super) async fn stalled(
        &self,
        spool: &Spool,
        stall: Duration,
        commit: Duration,
    ) -> Duration {
        loop {
            let limit = if self.ended.load(Ordering::Acquire) {
                commit
            } else {
                stall
            };
            let waits_for_spool = !self.ended.load(Ordering::Acquire)
                && spool.written() <= self.handed.load(Ordering::Acquire)
                && matches!(spool.try_finished(), Ok(None));
            if waits_for_spool {
                self.touch();
            } else if self.idle() >= limit {
                return limit;
            }
            tokio::time::sleep((stall / 8).clamp(Duration::from_millis(5), Duration::from_secs(5)))
                .await;
        }
    }
}

/// The stream, with a note of every chunk that is handed over.
pub(super) fn counted(
    stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    progress: Arc<Progress>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let at_end = Arc::clone(&progress);
    let end = futures_util::stream::poll_fn(move |_| {
        at_end.ended.store(true, Ordering::Release);
        at_end.touch();
        std::task::Poll::Ready(None)
    });
    stream
        .inspect(move |chunk| {
            let count = chunk.as_ref().map_or(0, Bytes::len) as u64;
            progress.handed.fetch_add(count, Ordering::AcqRel);
            progress.touch();
        })
        .chain(end)
}
