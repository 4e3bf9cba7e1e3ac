//! Runs one process to the end of everything that it started.
//!
//! The process gets its own session and process group, `/dev/null` as input, two pipes as output,
//! default signal dispositions, an empty signal mask and the environment of its spec, nothing
//! else. We are a child subreaper: whatever it leaves behind (background jobs, daemons that
//! called setsid and forked twice) becomes our child when its parent dies, is killed and reaped
//! before [`run`] returns (T-PROC-02, T-BUG-17).
//!
//! **Our own children.** Processes that the executor itself starts meanwhile (a credential
//! helper, git) share our session, which nothing below a RUN can enter: they are neither killed
//! nor reaped. A helper of ours must therefore not call setsid while a RUN may be running, and
//! only one [`run`] may be active at a time (a second one waits).

mod launch;
mod pump;
mod sweep;
mod watch;

use crate::guard::Guard;
use crate::{Cancel, Error, Exit, Output, ProcessSpec};
use launch::Launched;
use pump::Pump;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use watch::ExitWatch;

/// One at a time: the sweep takes every descendant outside our session for its own.
static ACTIVE: Mutex<()> = Mutex::new(());

/// Runs `spec`, hands its output to `out` as it comes, and returns when the process and all its
/// descendants are dead and reaped.
///
/// When `cancel` is raised the process group gets SIGTERM, after the grace period SIGKILL.
///
/// # Errors
/// The process could not be started (the error names the program, directory or user), was
/// cancelled ([`Error::Cancelled`]), or what it left cannot be killed.
pub fn run(spec: &ProcessSpec, out: &mut dyn Output, cancel: &Cancel) -> Result<Exit, Error> {
    let _active = ACTIVE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(signal) = cancel.signal() {
        return Err(Error::Cancelled { signal });
    }
    let program = launch::program_name(spec);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|errno| {
        Error::Prepare {
            what: "the role of subreaper",
            source: errno.into(),
        }
    })?;
    let (launched, _guard) = launch_guarded(spec)?;
    let Launched {
        pid,
        stdout,
        stderr,
    } = launched;
    let wait_error = |source: io::Error| Error::Wait {
        program: program.clone(),
        source,
    };
    let mut pump = Pump::new(stdout, stderr);

    let ended = match ExitWatch::new(pid) {
        Ok(watch) => attend(pid, &watch, &mut pump, out, cancel),
        Err(error) => Err(error),
    };
    let exit = finish(pid);
    let swept = sweep::sweep();
    // Everything that could write is dead: what the pipes hold now is all there will be.
    pump.drain(out).map_err(wait_error)?;
    let cancelled = ended.map_err(wait_error)?;
    swept.map_err(|source| Error::Sweep {
        program: program.clone(),
        source,
    })?;
    let exit = exit.map_err(wait_error)?;
    match cancelled {
        Some(signal) => Err(Error::Cancelled { signal }),
        None => Ok(exit),
    }
}

/// Starts the process, with a guard if there is something that root must not change. The guard has to outlive all processes of the RUN.
fn launch_guarded(spec: &ProcessSpec) -> Result<(Launched, Option<Guard>), Error> {
    let protected = &spec.confinement.read_only;
    if protected.is_empty() || spec.user.uid != 0 {
        return launch::launch(spec).map(|launched| (launched, None));
    }
    let to_launch = spec.clone();
    let started = Guard::start(protected.clone(), move || launch::launch(&to_launch));
    let started = started.map_err(|source| Error::Prepare {
        what: "the guard of read-only mounts",
        source,
    })?;
    match started {
        Some((guard, launched)) => Ok((launched?, Some(guard))),
        None => launch::launch(spec).map(|launched| (launched, None)),
    }
}

/// Passes output on until the process has exited (it is not reaped yet). Tells whether, and by
/// which signal, it was cancelled.
fn attend(
    pid: Pid,
    watch: &ExitWatch,
    pump: &mut Pump,
    out: &mut dyn Output,
    cancel: &Cancel,
) -> io::Result<Option<i32>> {
    let mut ending = Ending::NotAsked;
    loop {
        let ready = wait_for_event(watch, pump, cancel, &ending)?;
        pump.read(ready.stdout, ready.stderr, out)?;
        if ready.exited {
            return Ok(ending.reason());
        }
        sweep::reap_orphans(pid)?;
        ending = ending.advance(pid, cancel)?;
    }
}

/// How long a dead orphan may wait to be reaped while its RUN goes on.
const REAP_EVERY: Duration = Duration::from_millis(250);

/// How far a cancellation has come.
enum Ending {
    NotAsked,
    /// SIGTERM was sent; SIGKILL follows at the deadline.
    Asked {
        reason: i32,
        deadline: Instant,
    },
    /// SIGKILL was sent.
    Forced {
        reason: i32,
    },
}

impl Ending {
    fn reason(&self) -> Option<i32> {
        match self {
            Self::NotAsked => None,
            Self::Asked { reason, .. } | Self::Forced { reason } => Some(*reason),
        }
    }

    fn advance(self, pid: Pid, cancel: &Cancel) -> io::Result<Self> {
        match self {
            Self::NotAsked => {
                let Some(reason) = cancel.signal() else {
                    return Ok(self);
                };
                signal_group(pid, Signal::TERM)?;
                // A stopped process would sleep through its grace period.
                signal_group(pid, Signal::CONT)?;
                Ok(Self::Asked {
                    reason,
                    deadline: Instant::now() + cancel.grace(),
                })
            }
            Self::Asked { reason, deadline } if Instant::now() >= deadline => {
                signal_group(pid, Signal::KILL)?;
                Ok(Self::Forced { reason })
            }
            Self::Asked { .. } | Self::Forced { .. } => Ok(self),
        }
    }

    fn timeout(&self) -> Duration {
        match self {
            Self::Asked { deadline, .. } => deadline
                .saturating_duration_since(Instant::now())
                .min(REAP_EVERY),
            Self::NotAsked | Self::Forced { .. } => REAP_EVERY,
        }
    }
}

#[derive(Default)]
struct Ready {
    exited: bool,
    stdout: bool,
    stderr: bool,
}

fn wait_for_event(
    watch: &ExitWatch,
    pump: &Pump,
    cancel: &Cancel,
    ending: &Ending,
) -> io::Result<Ready> {
    let time = ending.timeout();
    let timeout = Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    let mut ready = Ready::default();
    let mut sources = vec![(Some(&mut ready.exited), watch.as_fd())];
    if let Some(stdout) = pump.stdout() {
        sources.push((Some(&mut ready.stdout), stdout));
    }
    if let Some(stderr) = pump.stderr() {
        sources.push((Some(&mut ready.stderr), stderr));
    }
    if matches!(ending, Ending::NotAsked) {
        sources.push((None, cancel.as_fd()));
    }
    let mut polled: Vec<_> = sources
        .iter()
        .map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    for ((flag, _), fd) in sources.into_iter().zip(&polled) {
        if let Some(flag) = flag {
            *flag = !fd.revents().is_empty();
        }
    }
    Ok(ready)
}

/// Kills the process group and reaps the process. It is our child and not reaped before, so its
/// number and its group's are still its own.
fn finish(pid: Pid) -> io::Result<Exit> {
    signal_group(pid, Signal::KILL)?;
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                if let Some(exit) = Exit::from_wait(status) {
                    return Ok(exit);
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// To the group of a process that is not reaped yet; no error when all of it is dead.
fn signal_group(group: Pid, signal: Signal) -> io::Result<()> {
    match rustix::process::kill_process_group(group, signal) {
        // EPERM: only members of another user are left, when we are not root; the sweep reports it.
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
