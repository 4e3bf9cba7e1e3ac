//! The process that stays outside.

use super::{SandboxSpec, check, inner, removal, user_namespace};
use crate::Error;
use crate::init::{self, tend};
use crate::sys::fork::fork_single_threaded;
use crate::sys::huge_pages;
use crate::sys::unshare::unshare;
use rustix::fs::{Mode, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{geteuid, getpid};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long after SIGTERM the inside may take: longer than its own init waits.
const PATIENCE: Duration = init::PATIENCE.saturating_add(Duration::from_secs(3));

/// How many names to try for the temporary directory.
const ATTEMPTS: u32 = 100;

fn failed(what: impl Into<String>) -> impl FnOnce(Errno) -> Error {
    let what = what.into();
    move |errno| Error::Sandbox {
        what,
        source: errno.into(),
    }
}

/// Runs the executor in a sandbox, forwards signals to it, removes its root afterwards with
/// `remove`, and gives the code to exit with.
///
/// Call it at the start of `main`, before any thread exists and before [`crate::harden_self`],
/// and exit afterwards: this process has moved into new namespaces, in which it can start neither
/// threads nor processes any more. That holds for `remove` too, which gets the directory to
/// remove, in which nothing is mounted.
///
/// # Errors
/// A bind that is refused, a kernel that does not allow it, or a root that could not be removed.
pub fn enter(spec: &SandboxSpec, remove: impl Fn(&Path) -> io::Result<()>) -> Result<u8, Error> {
    check::binds(&spec.binds)?;
    // What runs inside looks for itself what the setting is.
    huge_pages::give_back();
    let base = make_base(&spec.directory)?;
    let ended = run(spec, &base);
    match (ended, removal::remove(&base, remove)) {
        (Ok(exit), removed) => removed.map(|()| exit),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(left)) => {
            tracing::warn!(%left, "after a failure");
            Err(error)
        }
    }
}

fn run(spec: &SandboxSpec, base: &Path) -> Result<u8, Error> {
    let root = base.join("root");
    rustix::fs::mkdir(&root, Mode::from_bits_truncate(0o755))
        .map_err(failed("make the new root"))?;
    if !may_mount()? {
        user_namespace::enter()?;
    }
    unshare(UnshareFlags::NEWPID).map_err(failed("make a process namespace"))?;
    let signals = |source| Error::Signals { source };
    let _blocked = tend::signals().block().map_err(signals)?;
    let (report, report_end) = pipe_with(PipeFlags::CLOEXEC).map_err(failed("make a pipe"))?;
    let child = fork_single_threaded(|| inner::run(spec, &root, report_end)).map_err(|source| {
        Error::Sandbox {
            what: "fork".to_owned(),
            source,
        }
    })?;
    let started = inner::read_report(report);
    let ended = tend::tend(child, PATIENCE).map_err(|source| Error::Sandbox {
        what: "wait for its end".to_owned(),
        source,
    })?;
    started?;
    Ok(init::exit_code(ended))
}

/// Whether this process may mount without a user namespace.
fn may_mount() -> Result<bool, Error> {
    let sets = capabilities(None).map_err(failed("read our capabilities"))?;
    Ok(geteuid().is_root() && sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// A new directory that only we may enter, so that set-user-id files of an image do not lie open
/// on the host.
fn make_base(parent: &Path) -> Result<PathBuf, Error> {
    let place = || format!("make a root in `{}`", parent.display());
    let mount = rustix::fs::statvfs(parent).map_err(failed(place()))?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err(Error::SandboxNoexec {
            path: parent.to_owned(),
        });
    }
    if mount.f_flag.contains(StatVfsMountFlags::NOSUID) {
        tracing::warn!(path = %parent.display(), "mounted nosuid: set-user-id programs do not work in RUN");
    }
    let pid = getpid().as_raw_nonzero();
    for attempt in 0..ATTEMPTS {
        let base = parent.join(format!("kigumi-sandbox-{pid}-{attempt}"));
        match rustix::fs::mkdir(&base, Mode::from_bits_truncate(0o700)) {
            Ok(()) => return Ok(base),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(place())(errno)),
        }
    }
    Err(failed(place())(Errno::EXIST))
}
