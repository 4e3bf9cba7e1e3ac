//! Output from two pipes to an [`Output`], through one bounded buffer.

use crate::{Output, Stream};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is read at once: a pipe's usual capacity.
const CHUNK: usize = 64 * 1024;

/// The reading ends of the pipes, each until its end of file.
pub(super) struct Pump {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    buffer: Box<[u8]>,
}

impl Pump {
    /// Both must be non-blocking.
    pub(super) fn new(stdout: OwnedFd, stderr: OwnedFd) -> Self {
        let buffer = vec![0; CHUNK].into_boxed_slice();
        Self {
            stdout: Some(stdout),
            stderr: Some(stderr),
            buffer,
        }
    }

    pub(super) fn stdout(&self) -> Option<BorrowedFd<'_>> {
        self.stdout.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn stderr(&self) -> Option<BorrowedFd<'_>> {
        self.stderr.as_ref().map(AsFd::as_fd)
    }

    /// Passes on at most one chunk of each stream that is ready: a flood of output must not keep
    /// us from seeing a cancellation.
    pub(super) fn read(
        &mut self,
        stdout_ready: bool,
        stderr_ready: bool,
        out: &mut dyn Output,
    ) -> io::Result<()> {
        if stdout_ready {
            read_chunk(&mut self.stdout, &mut self.buffer, Stream::Stdout, out)?;
        }
        if stderr_ready {
            read_chunk(&mut self.stderr, &mut self.buffer, Stream::Stderr, out)?;
        }
        Ok(())
    }

    /// Passes on what the pipes still hold. Never waits, and reads no more than a pipe can hold:
    /// a writing end may have been handed to a process that is not ours to kill.
    pub(super) fn drain(mut self, out: &mut dyn Output) -> io::Result<()> {
        drain_one(&mut self.stdout, &mut self.buffer, Stream::Stdout, out)?;
        drain_one(&mut self.stderr, &mut self.buffer, Stream::Stderr, out)
    }
}

fn drain_one(
    pipe: &mut Option<OwnedFd>,
    buffer: &mut [u8],
    stream: Stream,
    out: &mut dyn Output,
) -> io::Result<()> {
    let Some(open) = pipe.as_ref() else {
        return Ok(());
    };
    let mut left = rustix::pipe::fcntl_getpipe_size(open)?;
    while left > 0 {
        let length = read_chunk(pipe, buffer, stream, out)?;
        if length == 0 {
            break;
        }
        left = left.saturating_sub(length);
    }
    Ok(())
}

/// Passes one chunk on and tells its length; 0 when there is none now or never again.
fn read_chunk(
    pipe: &mut Option<OwnedFd>,
    buffer: &mut [u8],
    stream: Stream,
    out: &mut dyn Output,
) -> io::Result<usize> {
    let Some(open) = pipe.as_ref() else {
        return Ok(0);
    };
    match rustix::io::read(open, &mut *buffer) {
        Ok(0) => {
            *pipe = None;
            Ok(0)
        }
        Ok(length) => {
            if let Some(bytes) = buffer.get(..length) {
                out.chunk(stream, bytes);
            }
            Ok(length)
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}
