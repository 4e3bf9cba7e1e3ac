//! Running other people's tools, with an error that shows what was run and what it said.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// What a finished tool left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; 128 plus the signal when a signal ended it.
    pub code: i32,
    /// Standard output, lossily decoded.
    pub stdout: String,
    /// Standard error, lossily decoded.
    pub stderr: String,
}

/// Runs a tool and fails unless it exits with 0.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = attempt(command)?;
    if output.code != 0 {
        bail!(
            "`{}` exited with {}\n{}{}",
            shown(command),
            output.code,
            tail(&output.stdout),
            tail(&output.stderr)
        );
    }
    Ok(output)
}

/// Runs a tool; any exit code is an answer, only a tool that cannot be started is an error.
pub fn attempt(command: &mut Command) -> Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start `{}`", shown(command)))?;
    Ok(Output {
        code: exit_code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// What fetches something from the network is tried again when it fails, a few times and each time later: a mirror that hiccups says nothing
/// about what is tested.
pub(crate) fn again<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    const PAUSES: [Duration; 4] = [
        Duration::from_secs(2),
        Duration::from_secs(10),
        Duration::from_secs(30),
        Duration::from_mins(1),
    ];
    for pause in PAUSES {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => {
                // Nobody can be told that the terminal is gone.
                let seconds = pause.as_secs();
                drop(writeln!(
                    std::io::stderr(),
                    "{error:#}\nonce more in {seconds} s"
                ));
                thread::sleep(pause);
            }
        }
    }
    attempt()
}

/// A program that ends with this process, however that ends: a shell waits for the end of its input, which is our pipe, and ends the program then.
pub(crate) fn tied(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#""$0" "$@" & cat >/dev/null; kill $!; wait"#]);
    command.arg(program).stdin(Stdio::piped()).process_group(0);
    command
}

/// The exit code as a shell shows it.
pub(crate) fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The command line, for messages.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The last lines of a tool's output: enough to see the reason, short enough to read.
pub(crate) fn tail(text: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(LINES);
    let mut shown = String::new();
    if skipped > 0 {
        shown.push_str("...\n");
    }
    for line in lines.iter().skip(skipped) {
        shown.push_str(line);
        shown.push('\n');
    }
    shown
}
