//! From the plan's RUN to a process.

use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kigumi_plan::{RunOp, Script};
use kigumi_rootfs::users::UserDatabase;
use kigumi_run::{Credentials, Exit, Output, ProcessSpec, Runner, Stream};
use rustix::fs::StatVfsMountFlags;

use super::shebang::Shebang;
use super::workshop::Workshop;
use super::{Entrusted, mounts};
use crate::error::BuildError;
use crate::report::{BuildEvent, Events, LineSplitter, StepPosition};
use crate::secrets::StreamRedactor;

/// The process of a RUN: the image's user, environment and directory, the secrets it asks for, and nothing of ours (T-RUN-02).
pub(crate) fn process(
    run: &RunOp,
    users: &UserDatabase,
    entrusted: &Entrusted,
    root: &Path,
) -> Result<ProcessSpec, BuildError> {
    let user = run.user.as_deref().unwrap_or_default();
    let who = users
        .credentials(user.as_bytes())
        .map_err(|source| BuildError::User {
            command: shown(run),
            source,
        })?;
    let mut spec = ProcessSpec::new(arguments(run, root));
    spec.env = run
        .env
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    if !run.env.iter().any(|(name, _)| name == "HOME") {
        let home = who
            .home
            .map_or_else(|| OsString::from("/"), OsString::from_vec);
        spec.env.push(("HOME".into(), home));
    }
    for (name, value) in mounts::variables(run, entrusted)? {
        // Of two variables with one name programs see the first.
        spec.env.retain(|(other, _)| *other != *name);
        spec.env.push((name.into(), value));
    }
    spec.cwd = run.cwd.clone().into();
    spec.user = Credentials {
        uid: who.uid,
        gid: who.gid,
        groups: who.groups,
    };
    spec.root = (root != Path::new("/")).then(|| root.to_owned());
    Ok(spec)
}

/// The command line. The kernel does not execute what lies on a `noexec` mount, and some runtimes (podman, CRI-O) mount `/dev`
/// so: then the shell starts the script's interpreter itself.
fn arguments(run: &RunOp, root: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = run.argv.iter().map(OsString::from).collect();
    let Some(script) = run.script.as_ref().filter(|_| is_noexec(&root.join("dev"))) else {
        return words;
    };
    let command = Shebang::parse(&script.body)
        .map(|shebang| shebang.command(&format!("{PIPES}/{}", script.name)));
    if let (Some(last), Some(command)) = (words.last_mut(), command) {
        *last = command.into();
    }
    words
}

fn is_noexec(path: &Path) -> bool {
    // What cannot be asked is taken for an ordinary directory: the kernel has the last word.
    rustix::fs::statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// Where scripts of heredocs are while they run. COMPAT(buildkit): `$0` shows it.
const PIPES: &str = "/dev/pipes";

/// Makes the working directory where something else was mounted over it, or above it.
pub(crate) fn furnish_directory(run: &RunOp, root: &Path) -> Result<(), BuildError> {
    make_directory(&run.cwd, root)
}

fn make_directory(path: &str, root: &Path) -> Result<(), BuildError> {
    let path = root.join(path.trim_start_matches('/'));
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&path)
        .map_err(|source| BuildError::Furnish {
            operation: format!("make `{}` for RUN", path.display()),
            source,
        })
}

/// Makes what a RUN expects to be there: its working directory (T-BUG-19), and the script of a heredoc that begins with `#!`.
pub(crate) fn furnish(run: &RunOp, root: &Path) -> Result<(), BuildError> {
    let failed = |path: &Path| {
        let operation = format!("make `{}` for RUN", path.display());
        move |source| BuildError::Furnish { operation, source }
    };
    make_directory(&run.cwd, root)?;
    if let Some(script) = &run.script {
        make_directory(PIPES, root)?;
        let path = script_path(script, root);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o755)
            .open(&path)
            .map_err(failed(&path))?;
        file.write_all(script.body.as_bytes())
            .map_err(failed(&path))?;
    }
    Ok(())
}

/// Removes the script again. `/dev` is a mount, so nothing of it is in a layer; this is for the next RUN.
pub(crate) fn clear(run: &RunOp, root: &Path) {
    if let Some(script) = &run.script {
        drop(std::fs::remove_file(script_path(script, root)));
    }
}

fn script_path(script: &Script, root: &Path) -> PathBuf {
    root.join(PIPES.trim_start_matches('/')).join(&script.name)
}

/// Runs it to its end, with everything it started.
pub(crate) fn run(
    process: &ProcessSpec,
    run: &RunOp,
    runner: &mut dyn Runner,
    workshop: &Workshop,
    position: &StepPosition,
) -> Result<(), BuildError> {
    let mut output = Lines {
        events: workshop.events.clone(),
        step: position.clone(),
        stdout: Lines::stream(&workshop.events),
        stderr: Lines::stream(&workshop.events),
    };
    let exit = runner.run(process, &mut output, &workshop.cancel);
    output.finish();
    workshop.check_cancelled()?;
    let exit = exit.map_err(|source| BuildError::Run {
        command: shown(run),
        source,
    })?;
    if exit.success() {
        return Ok(());
    }
    let how = match exit {
        Exit::Code(code) => format!("exit code: {code}"),
        Exit::Signal(signal) => format!("killed by signal {signal}{}", out_of_memory(signal)),
    };
    Err(BuildError::Exit {
        command: shown(run),
        how,
        code: u8::try_from(exit.code()).unwrap_or(1),
    })
}

fn out_of_memory(signal: i32) -> &'static str {
    if signal == 9 {
        " (often the memory limit of the pod)"
    } else {
        ""
    }
}

/// As BuildKit shows a command.
fn shown(run: &RunOp) -> String {
    format!("\"{}\"", run.argv.join(" "))
}

/// Makes lines of output. Secrets are hidden before it is cut into lines: afterwards one could lie across the cut.
struct Lines {
    events: Events,
    step: StepPosition,
    stdout: (StreamRedactor, LineSplitter),
    stderr: (StreamRedactor, LineSplitter),
}

impl Lines {
    fn stream(events: &Events) -> (StreamRedactor, LineSplitter) {
        (events.redactor().stream(), LineSplitter::default())
    }

    fn finish(&mut self) {
        let (events, step) = (&self.events, &self.step);
        for (redactor, splitter) in [&mut self.stdout, &mut self.stderr] {
            let tell = |line| {
                events.emit(BuildEvent::Output {
                    step: step.clone(),
                    line,
                });
            };
            splitter.push(&redactor.finish(), tell);
            splitter.finish().map(tell);
        }
    }
}

impl Output for Lines {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        let (redactor, splitter) = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let (events, step) = (&self.events, &self.step);
        splitter.push(&redactor.push(bytes), |line| {
            events.emit(BuildEvent::Output {
                step: step.clone(),
                line,
            });
        });
    }
}
