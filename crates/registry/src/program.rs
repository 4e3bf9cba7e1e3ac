//! Programs that know credentials (`docker-credential-*`, `credential_process`): asked once, with an end to their time and to what they may say.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::limits;

/// Nobody is there to be asked anything: what takes longer waits for somebody. Shorter than what a keychain has in all, so that it is the program
/// that is named.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);
/// How long a program may take to end that was killed, before it is left to itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// How a program ended, and what it printed.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

/// Runs `command` with `input` on its standard input. What it prints as errors is left out: it may quote secrets.
///
/// # Errors
/// When it cannot be started, takes longer than `patience`, or says more than a credential is.
pub(crate) fn run(mut command: Command, input: &str, patience: Duration) -> io::Result<Outcome> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // What it starts ends with it. It stays in our session: the sweep after a RUN leaves it alone.
        .process_group(0);
    let child = command.spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (sender, answers) = mpsc::channel();
    let input = input.to_owned();
    thread::Builder::new()
        .name("program".to_owned())
        .spawn(move || {
            // Nobody listens any more to one that came too late.
            let _late = sender.send(converse(child, &input));
        })?;
    if let Ok(outcome) = answers.recv_timeout(patience) {
        return outcome;
    }
    if let Some(group) = group {
        // It may have ended this very moment.
        let _gone = kill_process_group(group, Signal::KILL);
    }
    let _farewell = answers.recv_timeout(FAREWELL);
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("it gave no answer within {} seconds", patience.as_secs()),
    ))
}

fn converse(mut child: Child, input: &str) -> io::Result<Outcome> {
    let output = exchange(&mut child, input);
    let status = child.wait()?;
    Ok(Outcome {
        status,
        output: output?,
    })
}

fn exchange(child: &mut Child, input: &str) -> io::Result<String> {
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()) {
            // One that does not read its input may still answer.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            outcome => outcome?,
        }
    }
    let mut output = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(limits::JSON + 1).read_to_string(&mut output)?;
    }
    if output.len() as u64 > limits::JSON {
        return Err(io::Error::other("its answer is longer than any credential"));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> io::Result<Outcome> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, "input\n", patience)
    }

    #[test]
    fn what_never_answers_is_ended_with_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let script = format!("mkfifo {0}; cat {0} & cat {0}", fifo.display());
        let error = shell(&script, Duration::from_millis(100)).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_says_too_much_is_not_listened_to() {
        let error = shell("cat /dev/zero", PATIENCE).err().unwrap();
        assert!(error.to_string().contains("longer"), "{error}");
    }
}
