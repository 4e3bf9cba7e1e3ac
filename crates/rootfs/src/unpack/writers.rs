//! Threads that write files while the next entries are decoded.
//!
//! Names are made by the one thread that reads the layer, in the order of the layer: it creates the file and hands on the descriptor. What is left to do,
//! hashing, writing and dressing, touches nothing but that descriptor, so that no order between files has to be kept.
//!
//! Small files are handed on with their content, several at a time, because to wake a thread takes as long as to write one of them. A large one is handed on
//! with the end of a channel that its content comes through. All of that is sent before the next file is handed on, so a thread that waits for a piece never
//! waits for a file that another thread has to take first.

use std::collections::VecDeque;
use std::num::NonZero;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use kigumi_layer::{ImagePath, Metadata};
use kigumi_oci::{Digest, Digester};
use rustix::io::Errno;

use super::{attributes, virtuals::Refused, write_all};
use crate::{Error, disk};

/// More threads than this wait for each other in the kernel.
const THREADS: usize = 4;
/// How many batches may wait. With the two bounds below it bounds the memory and the open files.
const QUEUE: usize = 4;
/// So many files are handed on together at most.
const BATCH_FILES: usize = 8;
/// Files that have so many bytes together are handed on.
const BATCH_BYTES: usize = 64 * 1024;
/// How many pieces of a large file may wait. With [`BUFFER`](super::BUFFER) it bounds the memory.
const PIECES: usize = 2;

/// A file that was created and has to be filled.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) path: ImagePath,
    pub(super) fd: OwnedFd,
    pub(super) content: Content,
    pub(super) metadata: Metadata,
}

/// What a file shall hold.
#[derive(Debug)]
pub(super) enum Content {
    /// These of the bytes of its batch.
    Whole(Range<usize>),
    /// So many bytes, which are being sent.
    Pieces(u64, Receiver<Vec<u8>>),
}

impl Content {
    /// A content of so many bytes, and where they are sent to.
    pub(super) fn in_pieces(size: u64) -> (SyncSender<Vec<u8>>, Self) {
        let (pieces, content) = sync_channel(PIECES);
        (pieces, Self::Pieces(size, content))
    }
}

/// A file that was filled.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) path: ImagePath,
    /// What the kernel did not let us set, and what the content is.
    pub(super) result: Result<(Refused, Digest), Error>,
}

/// Files that are handed on together, and what the small ones shall hold.
#[derive(Default, Debug)]
struct Batch {
    jobs: Vec<Job>,
    bytes: Vec<u8>,
}

/// What became of a batch, and its room for another.
#[derive(Debug)]
struct Report {
    done: Vec<Done>,
    bytes: Vec<u8>,
}

/// The threads, and what they have not reported yet.
#[derive(Debug)]
pub(super) struct Writers {
    /// `None` once there is nothing more to do, which ends the threads.
    batches: Option<SyncSender<Batch>>,
    /// What is not handed on yet.
    next: Batch,
    reports: Receiver<Report>,
    /// What was reported and not asked for yet.
    done: VecDeque<Done>,
    threads: Vec<JoinHandle<()>>,
    in_flight: Vec<ImagePath>,
    rooms: Vec<Vec<u8>>,
    /// Pieces of large files that were written.
    used: Receiver<Vec<u8>>,
}

impl Writers {
    /// Starts the threads; `None` where the system lets us have none: then whoever asks writes by itself.
    pub(super) fn start() -> Option<Self> {
        let (batches, queue) = sync_channel(QUEUE);
        let (report, reports) = channel();
        let (give_back, used) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let wanted = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..wanted.min(THREADS))
            .map_while(|_| {
                let (queue, report) = (Arc::clone(&queue), report.clone());
                let give_back = give_back.clone();
                std::thread::Builder::new()
                    .name("write".to_owned())
                    .spawn(move || work(&queue, &report, &give_back))
                    .ok()
            })
            .collect();
        (!threads.is_empty()).then_some(Self {
            batches: Some(batches),
            next: Batch::default(),
            reports,
            done: VecDeque::new(),
            threads,
            in_flight: Vec::new(),
            rooms: Vec::new(),
            used,
        })
    }

    /// Where the content of the next small file is to be put, behind what is there.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        &mut self.next.bytes
    }

    /// A buffer for a piece of a large file, as it was left.
    pub(super) fn piece(&self) -> Vec<u8> {
        self.used.try_recv().unwrap_or_default()
    }

    /// Hands a file on, at once or with those that come after it. Waits while too many are on their way; false when the threads are gone.
    pub(super) fn submit(&mut self, job: Job) -> bool {
        self.in_flight.push(job.path.clone());
        let is_to_be_sent = matches!(job.content, Content::Pieces(..));
        let Batch { jobs, bytes } = &mut self.next;
        jobs.push(job);
        if is_to_be_sent || jobs.len() >= BATCH_FILES || bytes.len() >= BATCH_BYTES {
            return self.send();
        }
        true
    }

    fn send(&mut self) -> bool {
        if self.next.jobs.is_empty() {
            return true;
        }
        let next = Batch {
            jobs: Vec::with_capacity(BATCH_FILES),
            bytes: self.rooms.pop().unwrap_or_default(),
        };
        let batch = std::mem::replace(&mut self.next, next);
        self.batches
            .as_ref()
            .is_some_and(|batches| batches.send(batch).is_ok())
    }

    /// Whether the file at `path` has not been reported yet.
    pub(super) fn holds(&self, path: &ImagePath) -> bool {
        self.in_flight.contains(path)
    }

    /// The next report, if there is one.
    pub(super) fn poll(&mut self) -> Option<Done> {
        if self.done.is_empty() {
            let report = self.reports.try_recv().ok()?;
            self.take(report);
        }
        self.next_done()
    }

    /// The next report, as long as any is to come.
    pub(super) fn wait(&mut self) -> Option<Done> {
        if self.in_flight.is_empty() || !self.send() {
            return None;
        }
        if self.done.is_empty() {
            let report = self.reports.recv().ok()?;
            self.take(report);
        }
        self.next_done()
    }

    fn take(&mut self, report: Report) {
        self.done.extend(report.done);
        self.rooms.push(report.bytes);
    }

    fn next_done(&mut self) -> Option<Done> {
        let done = self.done.pop_front()?;
        // The oldest come first, nearly.
        if let Some(at) = self.in_flight.iter().position(|path| *path == done.path) {
            self.in_flight.remove(at);
        }
        Some(done)
    }
}

impl Drop for Writers {
    /// No thread outlives the unpacker.
    fn drop(&mut self) {
        self.batches = None;
        for thread in self.threads.drain(..) {
            // A panic there has been reported by the answer that never came.
            drop(thread.join());
        }
    }
}

fn work(queue: &Mutex<Receiver<Batch>>, report: &Sender<Report>, give_back: &Sender<Vec<u8>>) {
    loop {
        let batch = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Batch { jobs, mut bytes }) = batch else {
            return;
        };
        let done = jobs.into_iter().map(|job| Done {
            result: fill(&job, &bytes, give_back),
            path: job.path,
        });
        let done = done.collect();
        bytes.clear();
        // Nobody listens any more when the unpacker was dropped.
        if report.send(Report { done, bytes }).is_err() {
            return;
        }
    }
}

fn fill(job: &Job, bytes: &[u8], give_back: &Sender<Vec<u8>>) -> Result<(Refused, Digest), Error> {
    let digest = match &job.content {
        Content::Whole(range) => {
            let bytes = bytes.get(range.clone()).ok_or_else(|| Error::ContentSize {
                path: job.path.clone(),
                expected: range.len() as u64,
                actual: 0,
            })?;
            write(job, bytes)?;
            Digest::of(bytes)
        }
        Content::Pieces(size, pieces) => {
            let mut digester = Digester::new();
            for piece in pieces {
                write(job, &piece)?;
                digester.update(&piece);
                // Nobody wants it any more when the unpacker was dropped.
                drop(give_back.send(piece));
            }
            // Whoever sends has met an error, and tells it.
            if digester.bytes() != *size {
                return Err(Error::ContentSize {
                    path: job.path.clone(),
                    expected: *size,
                    actual: digester.bytes(),
                });
            }
            digester.finish()
        }
    };
    let refused = dress(&job.fd, &job.path, &job.metadata)?;
    Ok((refused, digest))
}

fn write(job: &Job, bytes: &[u8]) -> Result<(), Error> {
    write_all(&job.fd, bytes).map_err(|source| Error::file("write", &job.path, source))
}

/// Owner, attributes, permissions and time of a new file that has its content.
pub(super) fn dress(fd: &OwnedFd, path: &ImagePath, metadata: &Metadata) -> Result<Refused, Error> {
    let failed = |source: Errno| Error::file("set owner and time of", path, source);
    let mut refused = Refused::default();
    if !is_dressed(fd, metadata).map_err(failed)? {
        attributes::dress(fd, metadata, &mut refused).map_err(failed)?;
    }
    rustix::fs::futimens(fd, &attributes::times(metadata.mtime)).map_err(failed)?;
    Ok(refused)
}

/// Whether a new file lacks nothing but its time: most belong to whoever unpacks them, and were created with their permissions. To look costs less than to
/// set what is so already, which goes to the filesystem's journal each time.
fn is_dressed(fd: &OwnedFd, metadata: &Metadata) -> rustix::io::Result<bool> {
    if !metadata.xattrs.is_empty() {
        return Ok(false);
    }
    let is = disk::stat_of_fd(fd)?.identity;
    Ok((is.uid, is.gid, is.permissions()) == (metadata.uid, metadata.gid, metadata.mode))
}
