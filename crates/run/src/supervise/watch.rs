//! Telling that a process has exited, as something to poll.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Readable (or hung up) once the process has exited. It is left to be reaped.
pub(super) struct ExitWatch {
    descriptor: OwnedFd,
}

impl ExitWatch {
    pub(super) fn new(pid: Pid) -> io::Result<Self> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Self { descriptor }),
            // KERNEL(5.3): pidfd_open. gVisor and old seccomp profiles have none either.
            Err(Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => Self::with_thread(pid),
            Err(errno) => Err(errno.into()),
        }
    }

    /// A thread waits and closes its end of a pipe.
    fn with_thread(pid: Pid) -> io::Result<Self> {
        let (descriptor, end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        std::thread::Builder::new()
            .name("exit-watch".to_owned())
            .spawn(move || {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
                drop(end);
            })?;
        Ok(Self { descriptor })
    }
}

impl AsFd for ExitWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use std::process::Command;

    /// As on a kernel without `pidfd_open`.
    #[test]
    fn the_thread_tells_an_exit_as_the_descriptor_does_and_does_not_reap() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        for watch in [
            ExitWatch::with_thread(pid).unwrap(),
            ExitWatch::new(pid).unwrap(),
        ] {
            let mut fds = [PollFd::new(&watch, PollFlags::IN)];
            assert_eq!(poll(&mut fds, None), Ok(1));
        }
        assert!(child.wait().unwrap().success());
    }
}
