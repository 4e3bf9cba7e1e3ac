//! The order in which a program that uses this crate does things, and the tests' guinea pig.
//!
//! `probe COMMAND…` runs a command as the executor would, being PID 1 or not.
//! `probe --sandbox DIRECTORY [HOST:INSIDE[:rw]]… -- COMMAND…` does the same in a sandbox.

use kigumi_run::sandbox::{Bind, SandboxSpec, enter};
use kigumi_run::{
    Cancel, Credentials, Error, InPlace, ProcessSpec, Runner, Stream, harden_self, init, signals,
};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let ended = match arguments.split_first() {
        Some((first, rest)) if first == "--sandbox" => sandboxed(rest),
        _ => run(&arguments),
    };
    match ended {
        Ok(code) => code.into(),
        Err(Error::Cancelled { signal }) => signals::exit_code_for(signal).into(),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            let text = format!("probe: {error}{}\n", cause.unwrap_or_default());
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// What the inside does, in a pod as in a sandbox.
fn run(arguments: &[OsString]) -> Result<u8, Error> {
    if let Some(code) = init::supervise_if_pid1()? {
        return Ok(code);
    }
    let guard = signals::block()?;
    harden_self()?;
    let cancel = Cancel::new(Cancel::DEFAULT_GRACE)?;
    guard.forward_to(cancel.clone())?;

    let mut spec = ProcessSpec::new(arguments.iter().cloned());
    spec.env
        .push(("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into()));
    spec.user = Credentials {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        groups: Vec::new(),
    };
    if !rustix::process::geteuid().is_root() {
        // Groups cannot be changed then.
        let groups = rustix::process::getgroups().unwrap_or_default();
        spec.user.groups = groups
            .into_iter()
            .map(rustix::process::Gid::as_raw)
            .collect();
    }
    let mut output = |stream: Stream, bytes: &[u8]| {
        // Nobody to tell when our own output is closed.
        let _ = match stream {
            Stream::Stdout => std::io::stdout().write_all(bytes),
            Stream::Stderr => std::io::stderr().write_all(bytes),
        };
    };
    let exit = InPlace.run(&spec, &mut output, &cancel)?;
    Ok(u8::try_from(exit.code()).unwrap_or(u8::MAX))
}

fn sandboxed(arguments: &[OsString]) -> Result<u8, Error> {
    let mut words = arguments.iter();
    let mut spec = SandboxSpec {
        executor: "/proc/self/exe".into(),
        argv: vec!["probe".into()],
        env: vec![("SANDBOXED".into(), "yes".into())],
        binds: Vec::new(),
        directory: words.next().cloned().unwrap_or_default().into(),
    };
    for word in words.by_ref().take_while(|word| *word != "--") {
        let text = word.to_string_lossy();
        let mut parts = text.split(':');
        spec.binds.push(Bind {
            host: parts.next().unwrap_or_default().into(),
            inside: parts.next().unwrap_or_default().into(),
            writable: parts.next() == Some("rw"),
        });
    }
    spec.argv.extend(words.cloned());
    #[expect(
        clippy::disallowed_methods,
        reason = "checked to be without mounts; rootfs is above"
    )]
    enter(&spec, |base| std::fs::remove_dir_all(base))
}
