//! From fork to exec: the only code that runs in the copy of a process with many threads.
//!
//! Between `fork` and `execve` nothing here allocates, locks, panics or calls anything that is
//! not async-signal-safe: rustix calls are bare system calls, all strings are made beforehand.
#![expect(unsafe_code, reason = "fork and execve have no safe interface")]

use super::{
    close_range, dispositions, fork::exit_now, huge_pages, seccomp, signal_set::SignalSet,
};
use libc::sock_filter;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Resource, Rlimit, Signal, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::OwnedFd;

/// Everything the child needs, prepared by the parent.
pub(crate) struct Program {
    /// Paths to try in order, as `execvp` does.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) root: Option<CString>,
    pub(crate) cwd: CString,
    /// `None`: already this user.
    pub(crate) ids: Option<(Uid, Gid)>,
    /// `None`: these groups already, or unchangeable in this user namespace.
    pub(crate) groups: Option<Vec<Gid>>,
    pub(crate) umask: Mode,
    pub(crate) limits: Vec<(Resource, Rlimit)>,
    /// `None`: no filter on system calls.
    pub(crate) filter: Option<Vec<sock_filter>>,
    /// Capabilities to give up for good; `None`: none.
    pub(crate) dropped: Option<Vec<CapabilitySet>>,
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// Where a [`Failure`] goes; closed by the exec.
    pub(crate) report: OwnedFd,
    /// The process that must outlive the child.
    pub(crate) parent: Pid,
}

/// What the child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Session,
    Stdio,
    Root,
    Directory,
    Limit,
    Filter,
    Capabilities,
    Groups,
    User,
    ParentDeath,
    Exec,
}

/// Bytes of a file's beginning that tell its interpreter (the kernel's own limit is 256).
pub(crate) const HEAD: usize = 128;

/// Why there was no exec.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: i32,
    /// Which of the candidates, for [`Step::Exec`]; which of the limits, for [`Step::Limit`].
    pub(crate) candidate: usize,
    /// With `ENOENT`: that file exists, and begins like this.
    pub(crate) head: Option<Vec<u8>>,
}

/// Size of a report: step, errno, candidate, whether the file exists, length of the head, head.
const REPORT: usize = 1 + 4 + 4 + 1 + 1 + HEAD;

impl Program {
    /// Starts the child. The returned process is ours to reap; whether it came to the exec is
    /// told by [`read_failure`] on the other end of `report`.
    pub(crate) fn spawn(&self) -> io::Result<Pid> {
        let argv = pointers(&self.argv);
        let env = pointers(&self.env);
        let _blocked = SignalSet::all().block()?;
        // SAFETY: the child calls only `become_program`, which is async-signal-safe (see there),
        // and never returns into code of the parent.
        // JUSTIFICATION: `std::process::Command` cannot say which step failed, looks the program
        // up before it changes root, and falls back to a shell for files it cannot load.
        match unsafe { libc::fork() } {
            0 => self.become_program(&argv, &env),
            raw => match Pid::from_raw(raw) {
                Some(pid) if raw > 0 => Ok(pid),
                _ => Err(io::Error::last_os_error()),
            },
        }
    }

    fn become_program(&self, argv: &[*const c_char], env: &[*const c_char]) -> ! {
        let mut head = [0; HEAD];
        let stop = match self.set_up() {
            Ok(()) => self.exec(argv, env, &mut head),
            Err(stop) => stop,
        };
        let mut report = [0; REPORT];
        let fields = [stop.step as u8]
            .into_iter()
            .chain(stop.errno.raw_os_error().to_ne_bytes())
            .chain(
                u32::try_from(stop.candidate)
                    .unwrap_or(u32::MAX)
                    .to_ne_bytes(),
            )
            .chain([u8::from(stop.head.is_some())])
            .chain([u8::try_from(stop.head.unwrap_or(0)).unwrap_or(0)])
            .chain(head);
        for (byte, value) in report.iter_mut().zip(fields) {
            *byte = value;
        }
        let _ = rustix::io::write(&self.report, &report);
        exit_now(127)
    }

    fn set_up(&self) -> Result<(), Stop> {
        dispositions::reset();
        huge_pages::give_back();
        rustix::process::setsid().map_err(at(Step::Session))?;
        rustix::stdio::dup2_stdin(&self.stdin).map_err(at(Step::Stdio))?;
        rustix::stdio::dup2_stdout(&self.stdout).map_err(at(Step::Stdio))?;
        rustix::stdio::dup2_stderr(&self.stderr).map_err(at(Step::Stdio))?;
        close_range::close_on_exec_from_3();
        if let Some(root) = &self.root {
            rustix::process::chroot(root.as_c_str()).map_err(at(Step::Root))?;
            rustix::process::chdir(c"/").map_err(at(Step::Root))?;
        }
        // As root first, then as the user: each may reach directories that the other may not.
        let early = rustix::process::chdir(self.cwd.as_c_str());
        self.confine()?;
        self.set_user()?;
        if early.is_err() {
            rustix::process::chdir(self.cwd.as_c_str()).map_err(at(Step::Directory))?;
        }
        rustix::process::umask(self.umask);
        self.die_with_parent().map_err(at(Step::ParentDeath))?;
        SignalSet::empty().replace_mask();
        Ok(())
    }

    /// Before the user is changed: each of the three may need a right of root.
    fn confine(&self) -> Result<(), Stop> {
        for (number, (resource, limit)) in self.limits.iter().enumerate() {
            rustix::process::setrlimit(*resource, *limit).map_err(|errno| Stop {
                candidate: number,
                ..at(Step::Limit)(errno)
            })?;
        }
        if let Some(filter) = &self.filter {
            seccomp::install(filter).map_err(at(Step::Filter))?;
        }
        let Some(dropped) = &self.dropped else {
            return Ok(());
        };
        give_up(dropped).map_err(at(Step::Capabilities))
    }

    fn set_user(&self) -> Result<(), Stop> {
        if let Some(groups) = &self.groups {
            rustix::thread::set_thread_groups(groups).map_err(at(Step::Groups))?;
        }
        if let Some((uid, gid)) = self.ids {
            // The group first: afterwards there may be no right to change it.
            rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(at(Step::User))?;
            rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(at(Step::User))?;
        }
        Ok(())
    }

    /// An executor that is killed and is not PID 1 must not leave a RUN behind that goes on
    /// changing the root. After the change of user, which clears the request.
    fn die_with_parent(&self) -> Result<(), Errno> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() == Some(self.parent) {
            Ok(())
        } else {
            Err(Errno::SRCH)
        }
    }

    /// Tries the candidates; returns only when none could be executed, with the error that says
    /// most.
    fn exec(&self, argv: &[*const c_char], env: &[*const c_char], head: &mut [u8; HEAD]) -> Stop {
        let mut stop = Stop {
            step: Step::Exec,
            errno: Errno::NOENT,
            candidate: 0,
            head: None,
        };
        for (number, path) in self.candidates.iter().enumerate() {
            // SAFETY: path and both vectors are NUL-terminated, the vectors null-terminated, and
            // all outlive the call, which returns only on failure.
            // JUSTIFICATION: this is what the whole crate is for.
            unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
            match last_errno() {
                Errno::NOENT | Errno::NOTDIR => {
                    if rustix::fs::stat(path.as_c_str()).is_ok() {
                        let head = Some(read_head(path, head));
                        return Stop {
                            candidate: number,
                            head,
                            ..stop
                        };
                    }
                }
                Errno::ACCESS if stop.errno == Errno::ACCESS => {}
                errno @ Errno::ACCESS => {
                    stop = Stop {
                        errno,
                        candidate: number,
                        ..stop
                    }
                }
                errno => {
                    return Stop {
                        errno,
                        candidate: number,
                        ..stop
                    };
                }
            }
        }
        stop
    }
}

/// The bounding set too, so that no exec gives them back.
fn give_up(dropped: &[CapabilitySet]) -> Result<(), Errno> {
    let mut all = CapabilitySet::empty();
    for capability in dropped {
        rustix::thread::remove_capability_from_bounding_set(*capability)?;
        all |= *capability;
    }
    rustix::thread::clear_ambient_capability_set()?;
    let had = rustix::thread::capabilities(None)?;
    let kept = CapabilitySets {
        effective: had.effective.difference(all),
        permitted: had.permitted.difference(all),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, kept)
}

/// A [`Failure`] as the child knows it, without memory of its own.
#[derive(Clone, Copy)]
struct Stop {
    step: Step,
    errno: Errno,
    candidate: usize,
    /// Length of the head of a file that exists although the answer was `ENOENT`.
    head: Option<usize>,
}

fn at(step: Step) -> impl Fn(Errno) -> Stop {
    move |errno| Stop {
        step,
        errno,
        candidate: 0,
        head: None,
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn read_head(path: &CStr, head: &mut [u8; HEAD]) -> usize {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    file.and_then(|file| rustix::io::read(&file, head))
        .unwrap_or(0)
}

/// A null-terminated vector of pointers into `strings`.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
    pointers.push(std::ptr::null());
    pointers
}

/// Waits for the exec. `None`: it happened (or the child died before, which waiting will tell).
pub(crate) fn read_failure(report: OwnedFd) -> io::Result<Option<Failure>> {
    let mut bytes = Vec::with_capacity(REPORT);
    io::Read::read_to_end(&mut std::fs::File::from(report), &mut bytes)?;
    Ok(decode(&bytes))
}

fn decode(bytes: &[u8]) -> Option<Failure> {
    let (step, rest) = bytes.split_first()?;
    let (errno, rest) = rest.split_first_chunk::<4>()?;
    let (candidate, rest) = rest.split_first_chunk::<4>()?;
    let (found, rest) = rest.split_first()?;
    let (length, head) = rest.split_first()?;
    let steps = [
        Step::Session,
        Step::Stdio,
        Step::Root,
        Step::Directory,
        Step::Limit,
        Step::Filter,
        Step::Capabilities,
        Step::Groups,
        Step::User,
        Step::ParentDeath,
        Step::Exec,
    ];
    let head = head.iter().copied().take(usize::from(*length)).collect();
    Some(Failure {
        step: steps.into_iter().find(|known| *known as u8 == *step)?,
        errno: i32::from_ne_bytes(*errno),
        candidate: usize::try_from(u32::from_ne_bytes(*candidate)).ok()?,
        head: (*found != 0).then_some(head),
    })
}
