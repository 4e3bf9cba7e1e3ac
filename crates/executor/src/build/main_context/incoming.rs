//! Archives on their way to us, for a blocking reader. Each ends with an error when the build is told to end.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::rc::Rc;

use bytes::{Buf as _, Bytes};
use kigumi_registry::WebBody;
use kigumi_run::Cancel;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::runtime::Handle;

use crate::build::workshop::{self, Stop};
use crate::error::BuildError;

/// What went wrong on the way: the cause of whatever a decoder says.
pub(super) type Fault = Rc<RefCell<Option<kigumi_registry::Error>>>;

/// The body of an answer.
pub(super) struct Body<'a> {
    handle: &'a Handle,
    stop: &'a Stop,
    rest: WebBody,
    piece: Bytes,
    fault: Fault,
}

impl<'a> Body<'a> {
    pub(super) fn new(rest: WebBody, handle: &'a Handle, stop: &'a Stop, fault: Fault) -> Self {
        Self {
            handle,
            stop,
            rest,
            piece: Bytes::new(),
            fault,
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let (cancel, stopped) = self.stop;
            let next = async { Ok::<_, BuildError>(self.rest.chunk().await) };
            let next = workshop::wait(self.handle, cancel, stopped, next);
            match next.map_err(io::Error::other)? {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => return Ok(0),
                Err(error) => {
                    let said = io::Error::other(error.to_string());
                    *self.fault.borrow_mut() = Some(error);
                    return Err(said);
                }
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece
            .copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// A file of this machine; perhaps one that somebody else is still writing.
pub(super) struct Local<'a> {
    pub(super) file: File,
    pub(super) cancel: &'a Cancel,
}

impl Read for Local<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(told_to_end());
        }
        self.file.read(buffer)
    }
}

/// Standard input, from which nothing may ever come.
pub(super) struct Stdin<'a> {
    cancel: &'a Cancel,
}

impl<'a> Stdin<'a> {
    /// A person at a terminal does not type archives.
    pub(super) fn new(cancel: &'a Cancel) -> io::Result<Self> {
        if io::stdin().is_terminal() {
            return Err(io::Error::other(
                "standard input is a terminal; pipe the archive into it: tar -C DIRECTORY -cz . | executor --context=tar://stdin",
            ));
        }
        Ok(Self { cancel })
    }
}

impl Read for Stdin<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = rustix::stdio::stdin();
        let mut descriptors = [
            PollFd::from_borrowed_fd(stdin, PollFlags::IN),
            PollFd::new(self.cancel, PollFlags::IN),
        ];
        match poll(&mut descriptors, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if self.cancel.is_cancelled() {
            return Err(told_to_end());
        }
        Ok(rustix::io::read(stdin, buffer)?)
    }
}

fn told_to_end() -> io::Error {
    io::Error::other("the build was told to end")
}
