//! OpenSSH's own agent, to be forwarded, and keys for agents of ours.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::tool;

/// How often a starting agent is looked for, and how many times.
const TICK: Duration = Duration::from_millis(10);
const TICKS: u32 = 1000;

/// A running `ssh-agent` that holds one fresh key.
#[derive(Debug)]
pub struct SshAgent {
    key: SshKey,
    process: Child,
}

/// A fresh private key in a file, and its public key beside it.
#[derive(Debug)]
pub struct SshKey {
    directory: TempDir,
}

impl SshKey {
    /// Makes a key with `ssh-keygen`, whose further arguments say of which type.
    pub fn make(arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("ssh-").tempdir()?;
        // The key itself is for its owner alone.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))?;
        let key = Self { directory };
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-N", "", "-C", "made-for-a-test", "-f"]);
        tool::run(command.arg(key.path()).args(arguments))?;
        Ok(key)
    }

    /// Where the private key is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("key")
    }

    /// The text of the private key.
    pub fn private(&self) -> Result<String> {
        fs::read_to_string(self.path()).context("read the private key")
    }

    /// `TYPE BASE64`, as `ssh-add -L` prints it.
    pub fn public(&self) -> Result<String> {
        let text = fs::read_to_string(self.path().with_extension("pub"))?;
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        Ok(words.join(" "))
    }
}

impl SshAgent {
    /// Starts it and gives it a key.
    pub fn start() -> Result<Self> {
        let key = SshKey::make(&["-t", "ed25519"])?;
        let socket = key.directory.path().join("socket");
        let process = tool::tied("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start ssh-agent")?;
        let agent = Self { key, process };
        agent.wait()?;
        let mut add = Command::new("ssh-add");
        add.env("SSH_AUTH_SOCK", &socket).arg("-q");
        tool::run(add.arg(agent.key.path()))?;
        Ok(agent)
    }

    fn wait(&self) -> Result<()> {
        for _ in 0..TICKS {
            if UnixStream::connect(self.socket()).is_ok() {
                return Ok(());
            }
            thread::sleep(TICK);
        }
        ensure!(self.socket().exists(), "ssh-agent does not listen");
        Ok(())
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.key.directory.path().join("socket")
    }

    /// What it holds.
    pub fn key(&self) -> &SshKey {
        &self.key
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        // Its shell ends it when nobody holds the other end of its input, and ends then.
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}
