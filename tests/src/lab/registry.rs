//! Two `docker-registry` processes over one storage: plain, and with TLS and basic auth.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::state::State;
use super::{http, prerequisites};
use crate::tool;

/// Media types asked for when a manifest is read.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// User and password of the secure registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password, in clear.
    pub password: String,
}

/// One line of a registry's access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Status of the answer.
    pub status: u16,
    /// Length of the answer's body.
    pub bytes: u64,
}

/// A running registry.
#[derive(Debug, Clone)]
pub struct Registry {
    address: String,
    log: PathBuf,
    credentials: Option<Credentials>,
    /// The plain sibling, through which manifests and blobs are read and written.
    reader: String,
}

/// Ends a private registry together with this process: its shell sees the end of its input.
#[derive(Debug)]
pub(crate) struct Keeper(#[expect(dead_code, reason = "held for its stdin, never read")] Child);

/// Certificates and password file of the secure registry.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    htpasswd: PathBuf,
}

impl Registry {
    /// `host:port`, as a reference begins.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it takes to push here; nothing for the plain registry.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// A position in the access log, for [`Registry::requests_since`].
    pub fn mark(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |metadata| metadata.len())
    }

    /// What was asked since a mark, oldest first. A request is logged when its answer is complete.
    pub fn requests_since(&self, mark: u64) -> Result<Vec<Request>> {
        let text = fs::read(&self.log).with_context(|| format!("read {}", self.log.display()))?;
        let start = usize::try_from(mark).unwrap_or(usize::MAX).min(text.len());
        let (_, recent) = text.split_at(start);
        Ok(String::from_utf8_lossy(recent)
            .lines()
            .filter_map(parse_access)
            .collect())
    }

    /// A manifest or index by tag or digest: its media type and its bytes.
    pub fn manifest(&self, repository: &str, reference: &str) -> Result<(String, Vec<u8>)> {
        let response = self.find_manifest(repository, reference)?;
        response.with_context(|| format!("{repository}:{reference} is not in the registry"))
    }

    /// The same, or nothing where the registry has nothing under that name.
    pub fn find_manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<(String, Vec<u8>)>> {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let accept = [("Accept", MANIFEST_TYPES)];
        let response = http::send(&self.reader, "GET", &target, &accept, None)?;
        match response.status {
            200 => {
                let media_type = response
                    .header("content-type")
                    .unwrap_or_default()
                    .to_owned();
                Ok(Some((media_type, response.bytes()?)))
            }
            404 => Ok(None),
            status => bail!("GET {target}: {status}"),
        }
    }

    /// A blob as a stream, unverified.
    pub fn blob(&self, repository: &str, digest: &str) -> Result<Box<dyn Read>> {
        let target = format!("/v2/{repository}/blobs/{digest}");
        let response = http::send(&self.reader, "GET", &target, &[], None)?;
        ensure!(response.status == 200, "GET {target}: {}", response.status);
        Ok(Box::new(response.into_body()))
    }

    /// Whether the repository has the blob.
    pub fn has_blob(&self, repository: &str, digest: &str) -> Result<bool> {
        let target = format!("/v2/{repository}/blobs/{digest}");
        Ok(http::send(&self.reader, "HEAD", &target, &[], None)?.status == 200)
    }

    /// How large a blob of the repository is, if it is there.
    pub fn blob_size(&self, repository: &str, digest: &str) -> Result<Option<u64>> {
        let target = format!("/v2/{repository}/blobs/{digest}");
        let response = http::send(&self.reader, "HEAD", &target, &[], None)?;
        let length = response.header("content-length");
        let length = length.and_then(|text| text.parse().ok());
        Ok(length.filter(|_| response.status == 200))
    }

    /// Uploads a blob of known digest and size.
    pub fn put_blob(
        &self,
        repository: &str,
        digest: &str,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        if self.has_blob(repository, digest)? {
            return Ok(());
        }
        let start = format!("/v2/{repository}/blobs/uploads/");
        let session = http::send(&self.reader, "POST", &start, &[], Some((&mut &b""[..], 0)))?;
        ensure!(session.status == 202, "POST {start}: {}", session.status);
        let location = session
            .header("location")
            .context("an upload without a location")?;
        let path = location
            .split_once(&self.reader)
            .map_or(location, |(_, path)| path);
        let joint = if path.contains('?') { '&' } else { '?' };
        let target = format!("{path}{joint}digest={digest}");
        let kind = [("Content-Type", "application/octet-stream")];
        let done = http::send(&self.reader, "PUT", &target, &kind, Some((content, size)))?;
        ensure!(done.status == 201, "PUT {target}: {}", done.status);
        Ok(())
    }

    /// Uploads a manifest or index under a tag or digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<()> {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let kind = [("Content-Type", media_type)];
        let mut content = bytes;
        let length = bytes.len() as u64;
        let done = http::send(
            &self.reader,
            "PUT",
            &target,
            &kind,
            Some((&mut content, length)),
        )?;
        let status = done.status;
        ensure!(
            status == 201,
            "PUT {target}: {status} {}",
            String::from_utf8_lossy(&done.bytes()?)
        );
        Ok(())
    }

    /// A `config.json` with the credentials of this registry.
    pub fn docker_config(&self) -> String {
        let auths = match &self.credentials {
            Some(credentials) => json!({ &self.address: {
                "username": credentials.user,
                "password": credentials.password,
                "auth": base64(format!("{}:{}", credentials.user, credentials.password).as_bytes()),
            }}),
            None => json!({}),
        };
        json!({ "auths": auths }).to_string()
    }
}

/// Standard base64 with padding; a dependency would be larger than this.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |value: u32| {
        ALPHABET
            .get((value & 63) as usize)
            .map_or('=', |byte| *byte as char)
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.push(digit(group >> 18));
        text.push(digit(group >> 12));
        text.push(if chunk.len() > 1 {
            digit(group >> 6)
        } else {
            '='
        });
        text.push(if chunk.len() > 2 { digit(group) } else { '=' });
    }
    text
}

/// `127.0.0.1 - - [date] "GET /v2/ HTTP/1.1" 200 2 "" "agent"`; other lines are the registry's own.
fn parse_access(line: &str) -> Option<Request> {
    let mut quoted = line.split('"');
    quoted.next()?;
    let mut request = quoted.next()?.split(' ');
    let mut answer = quoted.next()?.split_whitespace();
    let status = answer.next()?.parse().ok()?;
    let bytes = answer.next().and_then(|word| word.parse().ok());
    let (method, target, protocol) = (request.next()?, request.next()?, request.next()?);
    protocol.starts_with("HTTP/").then(|| Request {
        method: method.to_owned(),
        target: target.to_owned(),
        status,
        bytes: bytes.unwrap_or(0),
    })
}

/// Makes the lab's CA, the server's certificate and the password file, once.
pub(crate) fn prepare_tls(state: &State) -> Result<Tls> {
    let directory = state.directory("tls")?;
    let place = |name: &str| directory.join(name);
    let tls = Tls {
        certificate: place("server.crt"),
        key: place("server.key"),
        htpasswd: place("htpasswd"),
    };
    if tls.htpasswd.is_file() {
        return Ok(tls);
    }
    fs::write(
        place("server.ext"),
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n\
         extendedKeyUsage=serverAuth\n",
    )?;
    let openssl = |arguments: &str| {
        tool::run(
            Command::new("openssl")
                .current_dir(&directory)
                .args(arguments.split(' ')),
        )
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.crt -days 3650 -subj /CN=lab-ca"
    ))?;
    openssl(&format!(
        "req -new {key} -keyout server.key -out server.csr -subj /CN=lab-registry"
    ))?;
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt \
         -days 3650 -extfile server.ext",
    )?;
    fs::write(&tls.htpasswd, HTPASSWD).context("write the password file")?;
    Ok(tls)
}

/// What `htpasswd -nbB` makes of [`lab_credentials`].
const HTPASSWD: &str = "builder:$2y$05$RJx9LaIm2.B0NRIPfZMo4.1hYKBVj.inslFG8X/Pfl.HURJtH915W\n";

/// A password with the characters that break careless header building.
fn lab_credentials() -> Credentials {
    Credentials {
        user: "builder".to_owned(),
        password: "pass:w%rd+/=".to_owned(),
    }
}

/// Registries that end with this process.
pub(crate) fn start_private(state: &State, tls: &Tls) -> Result<(Registry, Registry, Vec<Keeper>)> {
    let suffix = format!("-{}", std::process::id());
    let (plain, keep_plain) = start(state, None, None, &suffix, spawn_tied)?;
    let (secure, keep_secure) = start(state, Some(tls), Some(&plain), &suffix, spawn_tied)?;
    Ok((plain, secure, vec![Keeper(keep_plain), Keeper(keep_secure)]))
}

/// Registries that stay, written down for other processes.
pub(crate) fn start_announced(state: &State, tls: &Tls) -> Result<()> {
    let (plain, plain_child) = start(state, None, None, "", spawn_detached)?;
    let (secure, secure_child) = start(state, Some(tls), Some(&plain), "", spawn_detached)?;
    let note = json!({
        "plain": { "address": plain.address, "pid": plain_child.id() },
        "secure": { "address": secure.address, "pid": secure_child.id() },
    });
    fs::write(state.path("lab.json"), note.to_string()).context("announce the lab")
}

/// The announced registries, if they answer.
pub(crate) fn running(state: &State) -> Result<Option<(Registry, Registry)>> {
    let Some(note) = read_note(state)? else {
        return Ok(None);
    };
    let address = |name: &str| {
        note.pointer(&format!("/{name}/address"))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let (Some(plain), Some(secure)) = (address("plain"), address("secure")) else {
        return Ok(None);
    };
    if !answers(&plain) {
        return Ok(None);
    }
    let registry = |address: String, log: &str, credentials| Registry {
        address,
        log: state.path(log),
        credentials,
        reader: plain.clone(),
    };
    let secure = registry(secure, "registry-secure.log", Some(lab_credentials()));
    let plain = registry(plain.clone(), "registry-plain.log", None);
    Ok(Some((plain, secure)))
}

/// Stops the announced registries; says whether there were any.
pub(crate) fn stop_announced(state: &State) -> Result<bool> {
    let Some(note) = read_note(state)? else {
        return Ok(false);
    };
    let mut stopped = false;
    for name in ["plain", "secure"] {
        let pid = note
            .pointer(&format!("/{name}/pid"))
            .and_then(Value::as_i64);
        let pid = pid.and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.filter(|pid| is_our_registry(state, *pid))
            && let Some(process) = rustix::process::Pid::from_raw(pid)
        {
            rustix::process::kill_process(process, rustix::process::Signal::TERM)
                .with_context(|| format!("stop registry process {pid}"))?;
            stopped = true;
        }
    }
    fs::remove_file(state.path("lab.json")).context("withdraw the lab's announcement")?;
    Ok(stopped)
}

/// One line on what is announced.
pub(crate) fn describe(state: &State) -> Result<String> {
    let Some(note) = read_note(state)? else {
        return Ok("the lab is not running".to_owned());
    };
    let text = |pointer: &str| note.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    let plain = text("/plain/address");
    let health = if answers(plain) {
        "answers"
    } else {
        "does not answer"
    };
    Ok(format!(
        "registry {plain} (plain, {health}), {} (TLS, basic auth)",
        text("/secure/address")
    ))
}

fn read_note(state: &State) -> Result<Option<Value>> {
    match fs::read_to_string(state.path("lab.json")) {
        Ok(text) => Ok(serde_json::from_str(&text).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("read the lab's announcement"),
    }
}

/// A process id may have been given to someone else since it was written down.
fn is_our_registry(state: &State, pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).into_owned();
    line.contains("docker-registry") && line.contains(&*state.path("").to_string_lossy())
}

fn answers(address: &str) -> bool {
    http::send(address, "GET", "/v2/", &[], None).is_ok_and(|response| response.status == 200)
}

type Spawn = fn(&Path, &Path, &Path) -> Result<Child>;

fn start(
    state: &State,
    tls: Option<&Tls>,
    reader: Option<&Registry>,
    suffix: &str,
    spawn: Spawn,
) -> Result<(Registry, Child)> {
    const ATTEMPTS: u32 = 3;
    let program = prerequisites::borrow(
        state,
        "docker-registry",
        "docker-registry",
        "usr/bin/docker-registry",
    )?;
    let name = if tls.is_some() { "secure" } else { "plain" };
    let log = state.path(&format!("registry-{name}{suffix}.log"));
    let config = state.path(&format!("registry-{name}{suffix}.yml"));
    for _ in 0..ATTEMPTS {
        let address = free_address()?;
        fs::write(&config, configuration(state, &address, tls)?)?;
        let mut child = spawn(&program, &config, &log)?;
        if wait_until_listening(&address, &mut child) {
            let reader = reader
                .map_or(&address, |registry| &registry.address)
                .clone();
            let credentials = tls.map(|_| lab_credentials());
            return Ok((
                Registry {
                    address,
                    log,
                    credentials,
                    reader,
                },
                child,
            ));
        }
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    bail!("docker-registry does not start:\n{}", tool::tail(&said))
}

/// Asks the kernel for a port that is free now; `start` tries again if someone else takes it.
fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?.to_string())
}

fn configuration(state: &State, address: &str, tls: Option<&Tls>) -> Result<String> {
    let storage = state.directory("registry")?;
    let mut config = json!({
        "version": 0.1,
        "log": { "level": "warn", "accesslog": { "disabled": false } },
        "storage": {
            "filesystem": { "rootdirectory": storage },
            "delete": { "enabled": true },
            "maintenance": { "uploadpurging": { "enabled": false } },
        },
        "http": { "addr": address, "relativeurls": true },
    });
    if let (Some(tls), Some(fields)) = (tls, config.as_object_mut()) {
        fields.insert(
            "auth".to_owned(),
            json!({
                "htpasswd": { "realm": "lab", "path": tls.htpasswd },
            }),
        );
        fields.insert(
            "http".to_owned(),
            json!({
                "addr": address,
                "relativeurls": true,
                "tls": { "certificate": tls.certificate, "key": tls.key },
            }),
        );
    }
    // The registry reads YAML, of which JSON is a part.
    Ok(config.to_string())
}

/// Dies with this process.
fn spawn_tied(program: &Path, config: &Path, log: &Path) -> Result<Child> {
    let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
    tool::tied(program)
        .arg("serve")
        .arg(config)
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .context("start docker-registry")
}

/// Outlives this process and does not get the signals of its terminal.
fn spawn_detached(program: &Path, config: &Path, log: &Path) -> Result<Child> {
    let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
    Command::new(program)
        .arg("serve")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .spawn()
        .context("start docker-registry")
}

fn wait_until_listening(address: &str, child: &mut Child) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if std::net::TcpStream::connect(address).is_ok() {
            return true;
        }
        if !matches!(child.try_wait(), Ok(None)) {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}
