//! What PID 1 owes its container.
//!
//! The executor runs as two processes when it is PID 1: a small init without threads, which
//! forwards signals, reaps every zombie (T-PROC-01) and passes on the exit code, and the executor
//! proper as its child. So the runtime of the executor never meets a child that is not its own,
//! and a RUN that kills or stops the executor ends the build instead of hanging the pod.

pub(crate) mod tend;

use crate::sys::huge_pages;
use crate::{Error, harden_self, signals};
use rustix::process::{Pid, Signal, getpid};
use std::io;
use std::process::Command;
use std::time::Duration;

/// How long after the first SIGTERM the executor may take before it is killed: below the 30 s
/// after which a kubelet would do it, so that the pod ends with 143 and not with 137.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);

/// What is passed on to the executor proper.
pub(crate) const FORWARDED: [Signal; 6] = [
    Signal::TERM,
    Signal::INT,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
];

/// As PID 1, starts the same program with the same arguments and environment as a child, serves
/// it as an init and gives the code to exit with; otherwise returns `None` at once.
///
/// Call it first in `main`, before any thread is started:
///
/// ```no_run
/// # fn main() -> Result<std::process::ExitCode, kigumi_run::Error> {
/// if let Some(code) = kigumi_run::init::supervise_if_pid1()? {
///     return Ok(code.into());
/// }
/// # Ok(0.into())
/// # }
/// ```
///
/// # Errors
/// The child could not be started (`/proc` is not mounted), or waiting for it failed.
pub fn supervise_if_pid1() -> Result<Option<u8>, Error> {
    if !getpid().is_init() {
        return Ok(None);
    }
    // Our environment is the executor's, credentials included.
    harden_self()?;
    let fail = |what| move |source: io::Error| Error::Init { what, source };
    let _blocked = tend::signals().block().map_err(fail("block signals"))?;
    // The standard library gives the child an empty mask again.
    // It looks for itself what the pod's setting is.
    huge_pages::give_back();
    let child = command().spawn().map_err(fail("start the executor"))?;
    huge_pages::avoid();
    let ended =
        tend::tend(Pid::from_child(&child), PATIENCE).map_err(fail("wait for the executor"))?;
    Ok(Some(exit_code(ended)))
}

/// How what was tended ended.
pub(crate) fn exit_code(ended: tend::Ended) -> u8 {
    match ended {
        tend::Ended::Exited(exit) => u8::try_from(exit.code()).unwrap_or(u8::MAX),
        tend::Ended::Overdue { signal } => signals::exit_code_for(signal),
    }
}

fn command() -> Command {
    use std::os::unix::process::CommandExt;
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    command
}
