//! From the fork to the executor inside.

use super::{SandboxSpec, capabilities, root};
use crate::Error;
use crate::sys::{close_range, dispositions, keyring, unshare::unshare};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{UnshareFlags, set_thread_groups};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Exit code of a sandbox that could not be set up; the report says why.
const NOT_SET_UP: i32 = 1;

/// Runs as the first process of the new process namespace and returns only on failure, which it
/// reports.
pub(super) fn run(spec: &SandboxSpec, root: &Path, report: OwnedFd) -> i32 {
    let error = match become_executor(spec, root) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let bytes = encode(&error);
    if std::fs::File::from(report).write_all(&bytes).is_err() {
        // Nobody is left to tell.
        return NOT_SET_UP;
    }
    NOT_SET_UP
}

fn become_executor(spec: &SandboxSpec, root: &Path) -> Result<std::convert::Infallible, Error> {
    let fail = |what: &str| {
        let what = what.to_owned();
        move |source: io::Error| Error::Sandbox { what, source }
    };
    // With this process die all of the namespace, and with them its mounts.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| fail("set the parent death signal")(errno.into()))?;
    // The terminal's signals reach us through the outer process alone.
    rustix::process::setsid().map_err(|errno| fail("setsid")(errno.into()))?;
    unshare(UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS)
        .map_err(|errno| fail("make namespaces")(errno.into()))?;
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
    drop_groups().map_err(fail("drop supplementary groups"))?;
    root::enter(spec, root)?;
    if let Err(error) = keyring::join_new_session_keyring() {
        // A kernel without keyrings, or a filter that forbids them: nothing to leave then.
        tracing::debug!(%error, "session keyring");
    }
    capabilities::reduce().map_err(|errno| fail("drop capabilities")(errno.into()))?;
    dispositions::reset();
    close_range::close_on_exec_from_3();
    let mut command = Command::new(SandboxSpec::EXECUTOR);
    if let Some((name, arguments)) = spec.argv.split_first() {
        command.arg0(name).args(arguments);
    }
    let error = command.env_clear().envs(spec.env.iter().cloned()).exec();
    if error.kind() == io::ErrorKind::NotFound {
        let what = "start the executor inside (it must be a static binary)";
        return Err(Error::Sandbox {
            what: what.to_owned(),
            source: error,
        });
    }
    Err(fail("start the executor inside")(error))
}

/// In a namespace with a single id groups cannot be changed, by decree of the kernel.
fn drop_groups() -> io::Result<()> {
    if std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny")) {
        return Ok(());
    }
    Ok(set_thread_groups(&[])?)
}

/// An error as the outer process can tell it: the system's number, then the chain as text.
fn encode(error: &Error) -> Vec<u8> {
    let (what, source) = if let Error::Sandbox { what, source } = error {
        (what.clone(), source.raw_os_error())
    } else {
        (error.to_string(), None)
    };
    let mut bytes = source.unwrap_or(libc::EIO).to_ne_bytes().to_vec();
    bytes.extend(what.bytes());
    bytes
}

/// Waits until the executor runs inside, or for the reason why it does not.
pub(super) fn read_report(report: OwnedFd) -> Result<(), Error> {
    let mut bytes = Vec::new();
    let read = std::fs::File::from(report).read_to_end(&mut bytes);
    read.map_err(|source| Error::Sandbox {
        what: "wait for its start".to_owned(),
        source,
    })?;
    match bytes.split_first_chunk::<4>() {
        None => Ok(()),
        Some((errno, what)) => Err(Error::Sandbox {
            what: String::from_utf8_lossy(what).into_owned(),
            source: io::Error::from_raw_os_error(i32::from_ne_bytes(*errno)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn a_failure_inside_is_told_outside_with_step_and_cause() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let source = io::Error::from_raw_os_error(libc::EPERM);
        let error = Error::Sandbox {
            what: "mount /proc".to_owned(),
            source,
        };
        rustix::io::write(&writer, &encode(&error)).unwrap();
        drop(writer);
        let told = read_report(reader).unwrap_err();
        assert_eq!(told.to_string(), "sandbox: mount /proc");
        let cause = std::error::Error::source(&told).unwrap().to_string();
        assert_eq!(cause, "Operation not permitted (os error 1)");
    }

    #[test]
    fn silence_means_that_the_executor_runs() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        drop(writer);
        read_report(reader).unwrap();
    }
}
