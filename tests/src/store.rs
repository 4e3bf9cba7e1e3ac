//! An object store that runs while a test does.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::StoreTools;
use crate::{Lab, tool};

/// A server with one archive; it ends when dropped.
#[derive(Debug)]
pub struct Store {
    process: Child,
    facts: Value,
    /// Its certificates.
    files: TempDir,
}

/// The host of the account that [`Store::azure`] has.
const AZURE_HOST: &str = "devstoreaccount1.blob.core.windows.net";

impl Store {
    /// moto, which checks signatures: `s3://contexts/dir/a context.tar.gz` in `eu-central-1`.
    pub fn s3(lab: &Lab, archive: &Path) -> Result<Self> {
        let tools = StoreTools::get()?;
        Self::start(tools.python("s3.py").arg(archive), lab.temp_dir()?)
    }

    /// An emulator of Google Cloud Storage: `gs://contexts/dir/a context.tar.gz`.
    pub fn gcs(lab: &Lab, archive: &Path) -> Result<Self> {
        let tools = StoreTools::get()?;
        Self::start(tools.python("gcs.py").arg(archive), lab.temp_dir()?)
    }

    /// Azurite, which checks signatures, behind TLS and the name of a host of Azure.
    pub fn azure(lab: &Lab, archive: &Path) -> Result<Self> {
        let tools = StoreTools::get()?;
        let files = lab.temp_dir()?;
        certify(files.path())?;
        let mut command = tools.azurite();
        command.arg(archive);
        command.arg(files.path().join("server.crt"));
        command.arg(files.path().join("server.key"));
        Self::start(&mut command, files)
    }

    fn start(command: &mut Command, files: TempDir) -> Result<Self> {
        let shown = tool::shown(command);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Its own, with whatever it starts: Azurite is a child of the program that prepares it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start `{shown}`"))?;
        let stdout = process.stdout.take().context("its output")?;
        let mut store = Self {
            process,
            facts: Value::Null,
            files,
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let facts = serde_json::from_str(&line);
        store.facts = facts.with_context(|| format!("`{shown}` did not get ready: {line}"))?;
        Ok(store)
    }

    /// The process group of the server and of whatever it started.
    pub fn group(&self) -> u32 {
        self.process.id()
    }

    /// What the server said of itself: `endpoint`, `id`, `key`.
    pub fn fact(&self, name: &str) -> Result<&str> {
        let fact = self.facts.get(name).and_then(Value::as_str);
        fact.context("no such fact")
    }

    /// The URL of Azurite's blob; its host is on this machine for a pod that has it as an alias.
    pub fn azure_url(&self) -> Result<String> {
        let port = self.facts.get("port").and_then(Value::as_u64);
        let port = port.context("no port")?;
        Ok(format!(
            "https://{AZURE_HOST}:{port}/contexts/dir/context.tar.gz"
        ))
    }

    /// The name that a pod has to know.
    pub fn azure_host() -> &'static str {
        AZURE_HOST
    }

    /// Who signed Azurite's certificate.
    pub fn authority(&self) -> PathBuf {
        self.files.path().join("ca.crt")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It ends when its input does, which is so as well when this process is killed. Here nobody waits for that.
        if let Ok(group) = i32::try_from(self.process.id())
            && let Some(group) = Pid::from_raw(group)
        {
            // It may have ended by itself.
            kill_process_group(group, Signal::KILL).ok();
        }
        drop(self.process.wait());
    }
}

fn certify(directory: &Path) -> Result<()> {
    let extensions = format!(
        "subjectAltName=DNS:{AZURE_HOST}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
    );
    std::fs::write(directory.join("server.ext"), extensions)?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for arguments in [
        format!("req -x509 {key} -keyout ca.key -out ca.crt -days 3650 -subj /CN=azurite-ca"),
        format!("req -new {key} -keyout server.key -out server.csr -subj /CN=azurite"),
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 3650 -extfile server.ext".to_owned(),
    ] {
        let mut openssl = Command::new("openssl");
        tool::run(openssl.current_dir(directory).args(arguments.split(' ')))?;
    }
    Ok(())
}
