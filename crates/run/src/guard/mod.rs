//! Read-only mounts without mounts: calls that would change what must not be changed fail with `EROFS`.
//!
//! The processes of a RUN get a seccomp filter that stops each call by which a file can be changed, and lets a thread of the executor decide. It reads
//! the path from the memory of the caller, finds out what it leads to, and answers as a read-only mount would ([`verdict`]). Calls for anything
//! else go on in the kernel, untouched. What is not stopped: descriptors that were opened for writing before, 32-bit programs, and processes
//! whose memory the executor may not read (those that have changed to another user: files of root are not theirs to write). A RUN that wants to get
//! around it can; what it wrote is discarded and found afterwards. It protects programs from a surprise, not the host from programs.
//!
//! The filter needs `no_new_privs`: set-user-id programs and file capabilities give nothing to processes *that are not root*. So only a RUN
//! as root is guarded, and only one with a read-only mount (ADR 10).

mod calls;
mod verdict;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use libc::{BPF_JMP, BPF_JSET, BPF_K, SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, sock_filter};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::confine::{answer, instruction, load, unless};
use crate::sys::seccomp::{self, Answer, Question};
use calls::{Place, Request, When};
use verdict::{Kind, Looked};

pub use verdict::ReadOnly;

/// Where `struct seccomp_data` has its fields, in bytes.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const NATIVE: u32 = 0xc000_00f3;

/// The filter: what is not of this architecture, and not in the list, is allowed.
fn filter() -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE),
        instruction(BPF_JMP | libc::BPF_JEQ | BPF_K, NATIVE, 1, 0),
        answer(SECCOMP_RET_ALLOW),
        load(NUMBER),
    ];
    for (number, when) in calls::looked_at() {
        let check = match when {
            When::Always => vec![answer(SECCOMP_RET_USER_NOTIF)],
            When::Bits { argument, bits } => vec![
                load(ARGUMENTS + 8 * u32::from(argument)),
                instruction(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1),
                answer(SECCOMP_RET_USER_NOTIF),
                answer(SECCOMP_RET_ALLOW),
            ],
        };
        program.push(unless(number, check.len()));
        program.extend(check);
    }
    program.push(answer(SECCOMP_RET_ALLOW));
    program
}

/// Threads that stand beside a guarded process until it is dropped, which must be when all its processes are dead.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Dropped: the thread that started the process may end. Until then it must not, or the process would get its parent-death signal.
    starter: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
    stop: OwnedFd,
    listener: Option<JoinHandle<()>>,
}

impl Guard {
    /// Calls `start` in a thread with the filter, which all that it starts inherits. Where the kernel has no such filter, `None`: nothing was started.
    pub(crate) fn start<T: Send + 'static>(
        protected: ReadOnly,
        start: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Option<(Self, T)>> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let stopped = stop.try_clone()?;
        let (give_listener, listener) = mpsc::channel();
        let (give_result, result) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let starter = std::thread::Builder::new()
            .name("guarded start".to_owned())
            .spawn(move || {
                let installed = seccomp::install_with_listener(&filter());
                let is_installed = installed.is_ok();
                let taken = give_listener.send(installed).is_ok();
                if is_installed && taken && give_result.send(start()).is_ok() {
                    // An error says that the other end is gone, which is what is waited for.
                    let _released = released.recv();
                }
            })?;
        let gone = || io::Error::other("a thread of the guard has ended");
        let listener = match listener.recv().map_err(|_gone| gone())? {
            Ok(listener) => listener,
            Err(error) => {
                tracing::debug!(%error, "read-only mounts cannot be guarded here");
                return Ok(None);
            }
        };
        let listening = std::thread::Builder::new()
            .name("guard".to_owned())
            .spawn(move || listen(&listener, &stopped, &protected))?;
        let guard = Self {
            starter: Some((release, starter)),
            stop,
            listener: Some(listening),
        };
        let result = result.recv().map_err(|_gone| gone())?;
        Ok(Some((guard, result)))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((release, starter)) = self.starter.take() {
            drop(release);
            // A panic there was told when it happened.
            drop(starter.join());
        }
        if rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).is_ok()
            && let Some(listener) = self.listener.take()
        {
            drop(listener.join());
        }
    }
}

/// Answers until everything with the filter is gone, or it is told to stop: then the kernel answers `ENOSYS` in its place.
fn listen(listener: &OwnedFd, stop: &OwnedFd, protected: &ReadOnly) {
    loop {
        let mut descriptors = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut descriptors, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        let [questions, stopped] = &descriptors;
        if questions.revents().contains(PollFlags::IN) {
            answer_one(listener, protected);
        } else if !stopped.revents().is_empty() || !questions.revents().is_empty() {
            return;
        }
    }
}

fn answer_one(listener: &OwnedFd, protected: &ReadOnly) {
    let question = match seccomp::receive(listener.as_fd()) {
        Ok(question) => question,
        // Whoever asked was killed meanwhile.
        Err(_gone) => return,
    };
    let answer = match judge(question, protected) {
        // What was read belonged to whoever asked only if it still waits.
        Some(errno) if seccomp::is_waiting(listener.as_fd(), question) => Answer::Fail(errno),
        Some(_) | None => Answer::GoOn,
    };
    if let Err(error) = seccomp::reply(listener.as_fd(), question, answer) {
        tracing::debug!(%error, "answer a guarded call");
    }
}

/// The error that a call gets. What cannot be found out is left to the kernel.
fn judge(question: Question, protected: &ReadOnly) -> Option<Errno> {
    let caller = Caller(question.thread);
    match calls::read(question.number, &question.arguments)? {
        Request::One(change, place) => protected.one(change, &caller.look(place)?),
        Request::Two(from, to) => protected.two(&caller.look(from)?, &caller.look(to)?),
        Request::OpenHow { place, how } => {
            let mut flags = [0; 8];
            seccomp::read_memory(caller.0, how, &mut flags).ok()?;
            let request = calls::opened(u64::from_ne_bytes(flags), place);
            let Request::One(change, place) = request else {
                return None;
            };
            protected.one(change, &caller.look(place)?)
        }
    }
}

/// A thread that waits for an answer.
#[derive(Clone, Copy)]
struct Caller(u32);

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/proc/{}", self.0)
    }
}

/// Longest path that the kernel takes, with its end.
const PATH_MAX: usize = 4096;

impl Caller {
    /// What is at a place, as the caller's own look-up will find it; `None` if it cannot be told.
    fn look(self, place: Place) -> Option<Looked> {
        let start = match place.directory {
            libc::AT_FDCWD => format!("{self}/cwd"),
            descriptor => format!("{self}/fd/{descriptor}"),
        };
        let path = match place.path {
            Some(address) => self.text(address)?,
            None => PathBuf::new(),
        };
        if path.as_os_str().is_empty() {
            return Some(look_at(Path::new(&start), true));
        }
        let full = if let Some(own) = self.own(&path) {
            own
        } else if path.is_absolute() {
            // A process that has changed its root finds everything below it.
            Path::new(&format!("{self}/root")).join(path.strip_prefix("/").ok()?)
        } else {
            Path::new(&start).join(&path)
        };
        // A slash at the end asks for what a link leads to; joining has kept it.
        Some(look_at(&full, place.follows))
    }

    /// Names that mean something else to us than to the caller.
    fn own(self, path: &Path) -> Option<PathBuf> {
        let names = [
            ("/proc/self", ""),
            ("/proc/thread-self", ""),
            ("/dev/fd", "/fd"),
        ];
        names.into_iter().find_map(|(name, place)| {
            let below = path.strip_prefix(name).ok()?;
            Some(Path::new(&format!("{self}{place}")).join(below))
        })
    }

    /// A text in the memory of the caller, up to its NUL.
    fn text(self, address: u64) -> Option<PathBuf> {
        let mut text = Vec::new();
        let mut buffer = [0; 256];
        while text.len() < PATH_MAX {
            let at = address.checked_add(u64::try_from(text.len()).ok()?)?;
            let count = seccomp::read_memory(self.0, at, &mut buffer).ok()?;
            let read = buffer.get(..count).filter(|read| !read.is_empty())?;
            if let Some(end) = read.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(read.get(..end)?);
                return Some(OsString::from_vec(text).into());
            }
            text.extend_from_slice(read);
        }
        None
    }
}

fn look_at(path: &Path, follows: bool) -> Looked {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if !follows {
        flags |= OFlags::NOFOLLOW;
    }
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(found) => there(&found),
        Err(Errno::NOENT) => missing(path),
        Err(_) => Looked::Nowhere,
    }
}

fn there(found: &OwnedFd) -> Looked {
    let kind = match rustix::fs::fstat(found).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Directory) => Kind::Directory,
        Ok(FileType::RegularFile | FileType::Symlink) => Kind::File,
        Ok(_) => Kind::Special,
        Err(_) => return Looked::Nowhere,
    };
    match real_path(found) {
        Some(path) => Looked::There { path, kind },
        None => Looked::Nowhere,
    }
}

fn missing(path: &Path) -> Looked {
    let Some(parent) = path.parent() else {
        return Looked::Nowhere;
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty()).ok();
    match parent.as_ref().and_then(real_path) {
        Some(parent) => Looked::Missing { parent },
        None => Looked::Nowhere,
    }
}

fn real_path(found: &OwnedFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()
}
