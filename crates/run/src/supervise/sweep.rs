//! Killing and reaping all that a RUN has left.
//!
//! An orphan becomes our child the moment its parent dies, so killing our children again and
//! again reaches every depth; it ends when the kernel says that there are none. A direct child
//! that is not reaped keeps its number and its group's number, so signalling those by number
//! cannot hit a stranger; deeper ones are signalled through a descriptor whose parentage was
//! checked after it was opened.

use crate::proc::{self, Process};
use crate::sys::kin::{group_of, session_of};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group,
    pidfd_open, pidfd_send_signal, waitid, waitpid,
};
use std::io;

/// How often only the direct children are looked at before all of `/proc` is: reading the short
/// list is quick enough to outrun a process that forks and exits in a loop.
const QUICK_ROUNDS: u32 = 16;

/// How long to wait for a killed process before looking again. It may be held by a tracer that
/// appeared meanwhile, so not without limit.
const PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// Two empty listings in a row count as none, for when children of our own make "no child at
/// all" unreachable: one listing may miss a process that was handed to us while it was made.
const QUIET_ROUNDS: u32 = 2;

/// Kills and reaps every descendant outside our session until none is left.
pub(super) fn sweep() -> io::Result<()> {
    let (mut round, mut quiet) = (0_u32, 0);
    while quiet < QUIET_ROUNDS && !childless()? {
        let children = strangers(round)?;
        if children.is_empty() {
            quiet += 1;
            continue;
        }
        quiet = 0;
        round = round.wrapping_add(1);
        for child in &children {
            kill_with_group(*child)?;
        }
        if round.is_multiple_of(QUICK_ROUNDS) {
            kill_deep(&children)?;
        }
        if !reap_any(&children)?
            && let Some(child) = children.first()
        {
            kill_deep(&children)?;
            await_exit(*child)?;
        }
    }
    Ok(())
}

/// A round that trusts the kernel's list of children.
const FIRST_QUICK_ROUND: u32 = 1;

/// Whether there is no child at all, ours or a RUN's: the kernel's exact answer.
fn childless() -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::All, options) {
        Ok(_) | Err(Errno::INTR) => Ok(false),
        Err(Errno::CHILD) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// Direct children outside our session. What a RUN started is never inside: its first process
/// called setsid, and a session cannot be joined.
fn strangers(round: u32) -> io::Result<Vec<Pid>> {
    let own_session = session_of(None)?;
    let listed = if round.is_multiple_of(QUICK_ROUNDS) {
        None
    } else {
        proc::own_children()?
    };
    let children = match listed {
        Some(children) => children,
        None => children_by_parent()?,
    };
    // A zombie still has its session; one that has none was reaped by somebody else.
    Ok(children
        .into_iter()
        .filter(|child| session_of(Some(*child)).is_ok_and(|s| s != own_session))
        .collect())
}

fn children_by_parent() -> io::Result<Vec<Pid>> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let children = proc::all()?
        .into_iter()
        .filter(|process| process.parent == own);
    Ok(children
        .filter_map(|process| Pid::from_raw(process.pid))
        .collect())
}

/// Signals a child and, in one atomic step, all that still is in its process group.
fn kill_with_group(child: Pid) -> io::Result<()> {
    // No group is signalled by the number 0: that would be our own.
    if let Ok(group) = group_of(Some(child))
        && group != group_of(None)?
        && let Some(group) = Pid::from_raw(group)
    {
        match kill_process_group(group, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH | Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    match kill_process(child, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        // EPERM: a process of another user, and we are not root. Nothing would ever end it.
        Err(errno) => Err(errno.into()),
    }
}

/// Signals whatever descends from `children`, so that a tree that grows is cut everywhere at once.
fn kill_deep(children: &[Pid]) -> io::Result<()> {
    let all = proc::all()?;
    let roots: Vec<i32> = children
        .iter()
        .map(|pid| pid.as_raw_nonzero().get())
        .collect();
    for process in proc::descendants(&all, &roots) {
        kill_descendant(process)?;
    }
    Ok(())
}

fn kill_descendant(process: Process) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return Ok(());
    };
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        // Gone, or no such call (KERNEL(5.3)): then it dies once it is our child.
        Err(Errno::SRCH | Errno::INVAL | Errno::NOSYS | Errno::PERM) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    // The number may have passed to another process before the descriptor was opened. If it still
    // has the same parent now, the descriptor is that process or a dead one.
    if proc::read(process.pid)? != Some(process) {
        return Ok(());
    }
    match pidfd_send_signal(&descriptor, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Reaps what has died of the orphans that `main` left to us so far, so that a long RUN does not fill the process table (T-PROC-01).
pub(super) fn reap_orphans(main: Pid) -> io::Result<()> {
    let mut orphans = strangers(FIRST_QUICK_ROUND)?;
    orphans.retain(|child| *child != main);
    reap_any(&orphans).map(drop)
}

fn reap_any(children: &[Pid]) -> io::Result<bool> {
    let mut reaped = false;
    for child in children {
        match waitpid(Some(*child), WaitOptions::NOHANG) {
            Ok(Some(_)) => reaped = true,
            Ok(None) | Err(Errno::CHILD | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(reaped)
}

/// Waits for a while until a killed child is dead.
fn await_exit(child: Pid) -> io::Result<()> {
    let Ok(descriptor) = pidfd_open(child, PidfdFlags::empty()) else {
        // KERNEL(5.3): without a descriptor, wait for the time alone.
        return match poll(&mut [], Some(&PATIENCE)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        };
    };
    match poll(
        &mut [PollFd::new(&descriptor, PollFlags::IN)],
        Some(&PATIENCE),
    ) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
