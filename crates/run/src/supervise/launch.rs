//! From a [`ProcessSpec`] to a running process.

use crate::confine::{to_drop, without_network};
use crate::sys::child::{Failure, Program, Step, read_failure};
use crate::{CapabilityLimit, Error, Limit, NetworkAccess, ProcessSpec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Pid, Uid, WaitOptions};
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A process that has reached its exec.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: Pid,
    /// Reading ends, non-blocking.
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// The first word of the command, for messages.
pub(super) fn program_name(spec: &ProcessSpec) -> String {
    spec.argv
        .first()
        .map(|word| word.display().to_string())
        .unwrap_or_default()
}

pub(super) fn launch(spec: &ProcessSpec) -> Result<Launched, Error> {
    let argv = c_strings(spec.argv.iter().cloned(), "the command line")?;
    let env = environment(spec)?;
    let candidates = candidates(spec)?;
    let prepare = |what: &'static str| {
        move |errno: Errno| Error::Prepare {
            what,
            source: io::Error::from(errno),
        }
    };
    let stdin = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(prepare("/dev/null"))?;
    let (stdout, stdout_end) = output_pipe(spec).map_err(prepare("an output pipe"))?;
    let (stderr, stderr_end) = output_pipe(spec).map_err(prepare("an output pipe"))?;
    let (report, report_end) = pipe_with(PipeFlags::CLOEXEC).map_err(prepare("a report pipe"))?;
    let confinement = &spec.confinement;
    let program = Program {
        candidates,
        argv,
        env,
        root: spec
            .root
            .as_ref()
            .map(|root| c_string(root.as_os_str(), "the root"))
            .transpose()?,
        cwd: c_string(spec.cwd.as_os_str(), "the working directory")?,
        ids: ids_to_set(spec),
        groups: groups_to_set(spec)?,
        umask: Mode::from_bits_truncate(spec.umask),
        limits: confinement
            .limits
            .iter()
            .map(|limit| Limit::to_set(*limit))
            .collect(),
        filter: (confinement.network == NetworkAccess::None).then(without_network),
        dropped: match confinement.capabilities {
            CapabilityLimit::Container => to_drop(),
            CapabilityLimit::Executor => None,
        },
        stdin: above_stdio(stdin).map_err(prepare("a descriptor"))?,
        stdout: above_stdio(stdout_end).map_err(prepare("a descriptor"))?,
        stderr: above_stdio(stderr_end).map_err(prepare("a descriptor"))?,
        report: above_stdio(report_end).map_err(prepare("a descriptor"))?,
        parent: rustix::process::getpid(),
    };
    let name = program_name(spec);
    let pid = program.spawn().map_err(|source| Error::Fork {
        program: name.clone(),
        source,
    })?;
    let candidates = program.candidates.clone();
    // Our copies of the writing ends must go, or no pipe ever ends.
    drop(program);
    let failure = read_failure(report).map_err(|source| Error::Wait {
        program: name,
        source,
    });
    match failure {
        Ok(None) => Ok(Launched {
            pid,
            stdout,
            stderr,
        }),
        Ok(Some(failure)) => {
            reap(pid);
            Err(explain(spec, &candidates, failure))
        }
        Err(error) => {
            // Not ours to supervise without knowing what it is.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            reap(pid);
            Err(error)
        }
    }
}

fn reap(pid: Pid) {
    while let Err(Errno::INTR) = rustix::process::waitpid(Some(pid), WaitOptions::empty()) {}
}

/// A pipe whose reading end does not block and whose writing end belongs to the user, so that a
/// RUN as a user can open `/dev/stdout`.
fn output_pipe(spec: &ProcessSpec) -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    match rustix::fs::fchown(&writer, Some(Uid::from_raw(spec.user.uid)), None) {
        // Not root, or an id that this user namespace does not know: setuid will say so.
        Ok(()) | Err(Errno::PERM | Errno::INVAL) => Ok((reader, writer)),
        Err(errno) => Err(errno),
    }
}

/// The child puts its own descriptors at 0 to 2; those it needs must not lie there.
fn above_stdio(descriptor: OwnedFd) -> Result<OwnedFd, Errno> {
    if descriptor.as_raw_fd() > 2 {
        return Ok(descriptor);
    }
    rustix::io::fcntl_dupfd_cloexec(&descriptor, 3)
}

fn ids_to_set(spec: &ProcessSpec) -> Option<(Uid, Gid)> {
    let (uid, gid) = (Uid::from_raw(spec.user.uid), Gid::from_raw(spec.user.gid));
    let unchanged = rustix::process::geteuid() == uid
        && rustix::process::getuid() == uid
        && rustix::process::getegid() == gid
        && rustix::process::getgid() == gid;
    (!unchanged).then_some((uid, gid))
}

/// `None` when they are as wanted, or when this user namespace forbids changing them for good (a
/// sandbox with a single id: the groups are those of the user outside, who owns all of it).
fn groups_to_set(spec: &ProcessSpec) -> Result<Option<Vec<Gid>>, Error> {
    let prepare = |source: io::Error| Error::Prepare {
        what: "the list of groups",
        source,
    };
    let mut wanted: Vec<u32> = spec.user.groups.clone();
    let groups = rustix::process::getgroups().map_err(|errno| prepare(errno.into()))?;
    let mut current: Vec<u32> = groups.into_iter().map(Gid::as_raw).collect();
    wanted.sort_unstable();
    wanted.dedup();
    current.sort_unstable();
    let denied = match std::fs::read("/proc/self/setgroups") {
        Ok(text) => text.starts_with(b"deny"),
        // Without /proc the call itself decides.
        Err(_) => false,
    };
    if wanted == current || denied {
        return Ok(None);
    }
    Ok(Some(wanted.into_iter().map(Gid::from_raw).collect()))
}

fn c_string(text: &OsStr, what: &'static str) -> Result<CString, Error> {
    CString::new(text.as_bytes()).map_err(|_nul| Error::NulByte { what })
}

fn c_strings(
    texts: impl Iterator<Item = OsString>,
    what: &'static str,
) -> Result<Vec<CString>, Error> {
    texts
        .map(|text| CString::new(text.into_vec()).map_err(|_nul| Error::NulByte { what }))
        .collect()
}

fn environment(spec: &ProcessSpec) -> Result<Vec<CString>, Error> {
    let entry = |(name, value): &(OsString, OsString)| {
        if name.is_empty() || name.as_bytes().contains(&b'=') {
            return Err(Error::VariableName {
                name: name.display().to_string(),
            });
        }
        let mut entry = name.clone();
        entry.push("=");
        entry.push(value);
        c_string(&entry, "an environment variable")
    };
    spec.env.iter().map(entry).collect()
}

/// The paths to try. Only absolute directories of PATH count: what "the current directory" holds
/// must not decide which program runs.
fn candidates(spec: &ProcessSpec) -> Result<Vec<CString>, Error> {
    let Some(program) = spec.argv.first().filter(|program| !program.is_empty()) else {
        return Err(Error::EmptyCommand);
    };
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(program, "the command line")?]);
    }
    let Some(path) = spec.variable("PATH") else {
        return Err(Error::NoPath {
            program: program_name(spec),
        });
    };
    let directories = path.as_bytes().split(|byte| *byte == b':');
    let absolute = directories.filter(|directory| directory.starts_with(b"/"));
    let join = |directory: &[u8]| {
        let path = [directory, b"/", program.as_bytes()].concat();
        CString::new(path).map_err(|_nul| Error::NulByte {
            what: "the command line",
        })
    };
    absolute.map(join).collect()
}

/// An error for people from what the child reported.
fn explain(spec: &ProcessSpec, candidates: &[CString], failure: Failure) -> Error {
    let source = io::Error::from_raw_os_error(failure.errno);
    let program = program_name(spec);
    let user = &spec.user;
    match failure.step {
        Step::Session => Error::Setup {
            program,
            step: "setsid",
            source,
        },
        Step::Stdio => Error::Setup {
            program,
            step: "dup2",
            source,
        },
        Step::ParentDeath => Error::Setup {
            program,
            step: "set the parent death signal",
            source,
        },
        Step::Root => Error::Root {
            path: spec.root.clone().unwrap_or_default(),
            source,
        },
        Step::Directory => Error::WorkingDirectory {
            path: spec.cwd.clone(),
            source,
        },
        Step::Limit => Error::Limit {
            limit: limit_name(spec, failure.candidate),
            source,
        },
        Step::Filter => Error::NoNetwork { source },
        Step::Capabilities => Error::Setup {
            program,
            step: "give up capabilities",
            source,
        },
        Step::Groups | Step::User => Error::Credentials {
            uid: user.uid,
            gid: user.gid,
            source,
        },
        Step::Exec => explain_exec(spec, candidates.get(failure.candidate), failure),
    }
}

fn limit_name(spec: &ProcessSpec, number: usize) -> String {
    let limit = spec.confinement.limits.get(number);
    limit.map(ToString::to_string).unwrap_or_default()
}

fn explain_exec(spec: &ProcessSpec, candidate: Option<&CString>, failure: Failure) -> Error {
    let name = program_name(spec);
    let file = candidate.map_or_else(|| name.clone(), |path| path.to_string_lossy().into_owned());
    match Errno::from_raw_os_error(failure.errno) {
        Errno::NOENT => match failure.head {
            Some(head) => Error::InterpreterMissing {
                program: file,
                interpreter: interpreter(&head),
            },
            None if name.contains('/') => Error::NotFound { program: name },
            None => {
                let path = spec.variable("PATH").unwrap_or_default();
                Error::NotInPath {
                    program: name,
                    path: path.display().to_string(),
                }
            }
        },
        Errno::ACCESS => Error::NotExecutable { program: file },
        errno => Error::Exec {
            program: file,
            source: errno.into(),
        },
    }
}

/// What a file that begins like this needs to run.
fn interpreter(head: &[u8]) -> String {
    let Some(line) = head.strip_prefix(b"#!") else {
        return "(a dynamic loader)".to_owned();
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    let word = String::from_utf8_lossy(words.next().unwrap_or_default());
    match word.strip_suffix('\r') {
        Some(word) => format!("`{word}` followed by a carriage return (Windows line ends)"),
        None => format!("`{word}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(argv: &[&str], path: Option<&str>) -> ProcessSpec {
        let mut spec = ProcessSpec::new(argv.iter().copied());
        spec.env
            .extend(path.map(|path| ("PATH".into(), path.into())));
        spec
    }

    #[test]
    fn a_program_is_looked_up_in_the_absolute_directories_of_the_given_path_only() {
        let table: &[(&str, &str, &[&str])] = &[
            ("ls", "/bin:/usr/bin", &["/bin/ls", "/usr/bin/ls"]),
            ("ls", ":.:bin:/usr/bin", &["/usr/bin/ls"]),
            ("./ls", "/bin", &["./ls"]),
            ("/x/ls", "/bin", &["/x/ls"]),
            ("ls", "", &[]),
        ];
        for (program, path, expected) in table {
            let found = candidates(&spec(&[program], Some(path))).unwrap();
            let found: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
            assert_eq!(found, *expected, "{program} in {path}");
        }
    }

    #[test]
    fn what_the_kernel_would_cut_or_misread_is_refused() {
        let mut variable = spec(&["/bin/true"], None);
        variable.env.push(("A=B".into(), "c".into()));
        let errors = [
            launch(&spec(&[], None)).unwrap_err(),
            launch(&spec(&["ls"], None)).unwrap_err(),
            launch(&spec(&["/bin/ls", "a\0b"], None)).unwrap_err(),
            launch(&variable).unwrap_err(),
        ];
        let messages: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let expected = [
            "run: the command is empty",
            "executable `ls` not found: the environment has no PATH",
            "run: a NUL byte in the command line",
            "run: `A=B` is not a name for an environment variable",
        ];
        assert_eq!(messages, expected);
    }

    #[test]
    fn the_missing_interpreter_is_named_from_the_files_first_line() {
        let table: &[(&[u8], &str)] = &[
            (b"#!/bin/bash\necho", "`/bin/bash`"),
            (b"#! /usr/bin/env  python", "`/usr/bin/env`"),
            (
                b"#!/bin/sh\r\n",
                "`/bin/sh` followed by a carriage return (Windows line ends)",
            ),
            (b"\x7fELF", "(a dynamic loader)"),
        ];
        for (head, expected) in table {
            assert_eq!(interpreter(head), *expected);
        }
    }
}
