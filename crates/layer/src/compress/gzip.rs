//! Gzip on several threads: one member, whose deflate stream is made of blocks that were compressed apart from each other.
//!
//! Each block but the last ends in a sync flush, hence at a byte boundary, so that blocks can simply be joined. Each starts with the 32 KiB
//! before it as dictionary, so that next to nothing is lost against one long stream. A block has a new compressor every time: one that is reset and
//! given a dictionary makes other bytes than a new one, and which thread had which block before is chance.
//!
//! What [`dense`](super::dense) finds not worth it is stored, RFC 1951 § 3.2.4: it grows by five bytes for every 65,535.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::dense::{Treatment, parts};

/// How far back deflate can refer.
pub(super) const WINDOW: usize = 32 * 1024;
/// RFC 1952 § 2.3: deflate, no name, no time, no hint about the level, system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// What an incompressible block may grow by: five bytes for every stored piece, and the flush.
const EXPANSION: usize = 16 * 1024;
/// What one stored block of deflate can hold: its length has 16 bits.
const STORED_MAX: usize = 65_535;

/// Compresses blocks on threads of its own and writes them in their order. The thread that calls it does the writing.
#[derive(Debug)]
pub(super) struct ParallelGzip<W> {
    sink: W,
    pool: Pool,
    /// Blocks that are being compressed, first one first. As many as the bound allows, so that the channel need not have one.
    pending: VecDeque<Receiver<io::Result<Compressed>>>,
    bound: usize,
    /// The end of the block before.
    dictionary: Vec<u8>,
    checksum: Hasher,
    bytes: u64,
    /// Buffers of blocks that are written, for those that come: made and freed by different threads they would pile up in the allocator.
    spare: Vec<Buffers>,
}

/// What a block is in, before and after.
#[derive(Debug, Default)]
struct Buffers {
    plain: Vec<u8>,
    compressed: Vec<u8>,
}

/// Threads that live as long as this does.
#[derive(Debug)]
struct Pool {
    /// `None` once there is nothing more to do, which ends the threads.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

struct Job {
    buffers: Buffers,
    dictionary: Vec<u8>,
    last: bool,
    level: u32,
    reply: SyncSender<io::Result<Compressed>>,
}

struct Compressed {
    buffers: Buffers,
    checksum: Hasher,
}

impl<W: Write> ParallelGzip<W> {
    /// Starts the threads and writes the header.
    pub(super) fn new(mut sink: W, threads: usize) -> io::Result<Self> {
        sink.write_all(&HEADER)?;
        Ok(Self {
            sink,
            pool: Pool::new(threads)?,
            pending: VecDeque::new(),
            // One for each thread, and two that are ready when the writer is late.
            bound: threads + 2,
            dictionary: Vec::new(),
            checksum: Hasher::new(),
            bytes: 0,
            spare: Vec::new(),
        })
    }

    /// Compresses one more block and gives an empty buffer for the next. Where blocks begin and end decides about the bytes, so the caller has to
    /// cut them always the same way.
    pub(super) fn block(&mut self, block: Vec<u8>, level: u32) -> io::Result<Vec<u8>> {
        self.submit(block, level, false)?;
        let spare = self.spare.last_mut();
        Ok(spare.map_or_else(Vec::new, |buffers| std::mem::take(&mut buffers.plain)))
    }

    /// Compresses the last block, which may be empty, writes what is pending and the trailer.
    pub(super) fn finish(mut self, block: Vec<u8>, level: u32) -> io::Result<W> {
        self.submit(block, level, true)?;
        while !self.pending.is_empty() {
            self.write_oldest()?;
        }
        let checksum = self.checksum.finalize();
        // RFC 1952 § 2.3.1: the size modulo 2^32.
        let size = self.bytes & u64::from(u32::MAX);
        self.sink.write_all(&checksum.to_le_bytes())?;
        self.sink
            .write_all(size.to_le_bytes().get(..4).unwrap_or_default())?;
        Ok(self.sink)
    }

    fn submit(&mut self, block: Vec<u8>, level: u32, last: bool) -> io::Result<()> {
        if self.pending.len() >= self.bound {
            self.write_oldest()?;
        }
        self.bytes += block.len() as u64;
        let spare = self.spare.pop().unwrap_or_default();
        let start = block.len().saturating_sub(WINDOW);
        let end = block.get(start..).unwrap_or_default().to_vec();
        let (reply, answer) = sync_channel(1);
        let job = Job {
            buffers: Buffers {
                plain: block,
                compressed: spare.compressed,
            },
            dictionary: std::mem::replace(&mut self.dictionary, end),
            last,
            level,
            reply,
        };
        self.pending.push_back(answer);
        self.pool.submit(job)
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        let Some(answer) = self.pending.pop_front() else {
            return Ok(());
        };
        let compressed = answer.recv().map_err(|_| thread_died())??;
        self.checksum.combine(&compressed.checksum);
        let mut buffers = compressed.buffers;
        self.sink.write_all(&buffers.compressed)?;
        buffers.plain.clear();
        buffers.compressed.clear();
        self.spare.push(buffers);
        Ok(())
    }
}

impl Pool {
    fn new(threads: usize) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut pool = Self {
            jobs: Some(jobs),
            threads: Vec::with_capacity(threads),
        };
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new()
                .name("gzip".to_owned())
                .spawn(move || work(&queue))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    fn submit(&self, job: Job) -> io::Result<()> {
        self.jobs
            .as_ref()
            .and_then(|jobs| jobs.send(job).ok())
            .ok_or_else(thread_died)
    }
}

impl Drop for Pool {
    /// No thread outlives the writer: each ends when it has no more to do.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic there has been reported by the answer that never came.
            drop(thread.join());
        }
    }
}

fn thread_died() -> io::Error {
    io::Error::other("a compression thread died")
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok(job) = job else { return };
        let compressed = compress(job.buffers, &job.dictionary, job.level, job.last);
        // Nobody waits for it any more when the writer was dropped.
        drop(job.reply.send(compressed));
    }
}

fn compress(
    mut buffers: Buffers,
    dictionary: &[u8],
    level: u32,
    last: bool,
) -> io::Result<Compressed> {
    let mut checksum = Hasher::new();
    checksum.update(&buffers.plain);
    block(
        &buffers.plain,
        &mut buffers.compressed,
        dictionary,
        (level, last),
    )?;
    Ok(Compressed { buffers, checksum })
}

/// One block of a deflate stream, into an empty buffer; the stream ends with the last one.
fn block(
    block: &[u8],
    out: &mut Vec<u8>,
    dictionary: &[u8],
    (level, last): (u32, bool),
) -> io::Result<()> {
    out.reserve(block.len() + EXPANSION);
    let parts = parts(block);
    for (range, treatment) in parts {
        let last = last && range.end == block.len();
        let before = block.get(range.start.saturating_sub(WINDOW)..range.start);
        let part = block.get(range).unwrap_or_default();
        // Level 0 stores what it is given, and was asked for.
        match treatment {
            Treatment::Store if level > 0 => store(part, out, last),
            Treatment::Store | Treatment::Deflate => {
                let before = before.filter(|before| !before.is_empty());
                deflate(part, out, before.unwrap_or(dictionary), (level, last))?;
            }
        }
    }
    Ok(())
}

/// Bytes as they are, which are at least one.
fn store(part: &[u8], out: &mut Vec<u8>, last: bool) {
    let mut rest = part.len();
    for piece in part.chunks(STORED_MAX) {
        rest -= piece.len();
        let [low, high, ..] = piece.len().to_le_bytes();
        // The type of a stored block is 0; it begins at a byte boundary, since what is before it ends at one.
        out.extend([u8::from(last && rest == 0), low, high, !low, !high]);
        out.extend_from_slice(piece);
    }
}

/// A part of a block, behind what the buffer holds.
fn deflate(
    part: &[u8],
    out: &mut Vec<u8>,
    dictionary: &[u8],
    (level, last): (u32, bool),
) -> io::Result<()> {
    let mut compressor = Compress::new(Compression::new(level), false);
    if !dictionary.is_empty() {
        compressor
            .set_dictionary(dictionary)
            .map_err(io::Error::other)?;
    }
    let flush = if last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    loop {
        let consumed = usize::try_from(compressor.total_in()).map_err(io::Error::other)?;
        let rest = part.get(consumed..).unwrap_or_default();
        let status = compressor
            .compress_vec(rest, out, flush)
            .map_err(io::Error::other)?;
        // zlib has flushed all when it leaves room in the output.
        let flushed = out.len() < out.capacity();
        let done = match status {
            Status::StreamEnd => true,
            Status::Ok | Status::BufError => !last && flushed,
        };
        if done {
            return Ok(());
        }
        out.reserve(EXPANSION);
    }
}
