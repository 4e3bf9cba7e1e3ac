//! Building a case with the executor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

use super::case::{Case, Options};
use super::images::{KnownImage, Shelf};
use super::server::Server;
use super::tree::materialise;
use crate::{Image, tool};

/// Where the files of a plain web server are.
const HTTP: &str = "{{http}}";
const GIT: &str = "{{git}}";

/// Who builds when the tests run as root: nobody, so that nothing can need more.
const NOBODY: u32 = 65534;

/// A case whose files lie on disk and whose images are served.
#[derive(Debug)]
pub struct Prepared {
    directory: TempDir,
    server: Server,
    /// The images that the registry has, by name.
    pub images: BTreeMap<String, Vec<KnownImage>>,
    dockerfile: PathBuf,
}

/// The ways to build a case.
#[derive(Debug, Clone, Copy)]
pub enum Build<'a> {
    /// As an ordinary process without any privilege.
    Process {
        /// The executor.
        executor: &'a Path,
    },
}

/// A build that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit code.
    pub code: i32,
    /// What it said.
    pub output: String,
    layout: PathBuf,
    placeholders: Vec<(String, &'static str)>,
}

impl Prepared {
    /// Makes everything that the case needs; the registry listens on this address.
    pub fn make(case: &Case, address: SocketAddr) -> Result<Self> {
        let mut shelf = Shelf::make(&case.images)?;
        shelf.add_files(&case.http)?;
        let server = Server::start(address, shelf.resources)?;
        let directory = tempfile::Builder::new().prefix("conformance-").tempdir()?;
        let root = directory.path();
        for name in ["context", "beside", "kaniko", "home"] {
            fs::create_dir(root.join(name)).with_context(|| format!("mkdir {name}"))?;
        }
        let options = &case.options;
        let in_context = options.dockerfile_in_context.unwrap_or(true);
        let home = if in_context { "context" } else { "beside" };
        let path = options.dockerfile_path.as_deref().unwrap_or("Dockerfile");
        let dockerfile = root.join(home).join(path);
        if let Some(parent) = dockerfile.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&dockerfile, located(&case.dockerfile()?, &server))
            .context("write Dockerfile")?;
        fs::set_permissions(&dockerfile, fs::Permissions::from_mode(0o644))?;
        materialise(&root.join("beside"), &options.dockerfile_dir_files)?;
        materialise(&root.join("context"), &case.files)?;
        for (name, context) in &options.build_contexts {
            let place = root.join(format!("named-{name}"));
            fs::create_dir(&place)?;
            materialise(&place, context.files.as_deref().unwrap_or_default())?;
        }
        Ok(Self {
            directory,
            server,
            images: shelf.images,
            dockerfile,
        })
    }

    /// Builds the case.
    pub fn build(&self, case: &Case, how: Build<'_>) -> Result<Finished> {
        let Build::Process { executor } = how;
        let root = self.directory.path();
        let layout = root.join("layout");
        let mut command = Command::new(executor);
        command
            .args(arguments(&case.options, root))
            .arg("--dockerfile")
            .arg(&self.dockerfile);
        command.arg("--context").arg(root.join("context"));
        command.arg("--kaniko-dir").arg(root.join("kaniko"));
        command.arg("--oci-layout-path").arg(&layout);
        command.args(["--no-push", "--insecure-pull", "--log-format=text"]);
        command
            .env_clear()
            .env("HOME", root.join("home"))
            .current_dir(root.join("home"));
        // The server is the proxy: it tunnels nothing, so plain HTTP is what is left.
        for scheme in ["http_proxy", "https_proxy"] {
            command.env(scheme, format!("http://{}", self.server.address()));
        }
        if rustix::process::geteuid().is_root() {
            give(root, NOBODY)?;
            command.uid(NOBODY).gid(NOBODY);
        }
        let said = tool::attempt(&mut command)?;
        let http = format!("http://{}/f", self.server.address());
        let git = format!("http://{}/git", self.server.address());
        Ok(Finished {
            code: said.code,
            output: said.stdout + &said.stderr,
            layout,
            placeholders: vec![(http, HTTP), (git, GIT)],
        })
    }
}

impl Finished {
    /// The image that was built.
    pub fn image(&self) -> Result<Image> {
        Image::from_layout(&self.layout)
    }

    /// What it said about its failure: everything from the first error on.
    pub fn complaint(&self) -> String {
        let lines: Vec<&str> = self.output.lines().collect();
        let start = lines.iter().position(|line| is_error(line)).unwrap_or(0);
        lines.split_at(start).1.join("\n")
    }

    /// The first line of every error.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &str> {
        self.output.lines().filter(|line| is_error(line))
    }

    /// The same value with the placeholders of the case instead of addresses.
    pub(crate) fn with_placeholders(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let replace = |text: String, (address, placeholder): &(String, &str)| {
                    text.replace(address.as_str(), placeholder)
                };
                Value::String(self.placeholders.iter().fold(text.clone(), replace))
            }
            Value::Array(values) => values
                .iter()
                .map(|value| self.with_placeholders(value))
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), self.with_placeholders(value)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

/// Whether a line of the log begins an error, behind the time that may be in front of it.
fn is_error(line: &str) -> bool {
    let time = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let message = time.map_or(line, |(_, message)| message);
    message.starts_with("error")
}

/// The Dockerfile with addresses instead of placeholders.
fn located(dockerfile: &[u8], server: &Server) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(dockerfile) else {
        return dockerfile.to_vec();
    };
    let text = text.replace(HTTP, &format!("http://{}/f", server.address()));
    let text = text.replace(GIT, &format!("http://{}/git", server.address()));
    with_commits(&text).into_bytes()
}

/// `{{git:NAME:NUMBER}}` and `{{git:NAME:NUMBER:short}}`.
///
/// There are no repositories yet, so the id is of the right form and names nothing.
fn with_commits(text: &str) -> String {
    let mut parts = text.split("{{git:");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inner, rest) = part.split_once("}}").unwrap_or((part, ""));
        let length = if inner.ends_with(":short") { 12 } else { 40 };
        whole.push_str(&"a".repeat(length));
        whole.push_str(rest);
    }
    whole
}

/// What the options of a case are on the command line.
fn arguments(options: &Options, root: &Path) -> Vec<OsString> {
    let mut words: Vec<String> = Vec::new();
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    for (name, value) in &options.build_args {
        flag("--build-arg", format!("{name}={value}"));
    }
    for (name, value) in &options.labels {
        flag("--label", format!("{name}={value}"));
    }
    if let Some(target) = &options.target {
        flag("--target", target.clone());
    }
    if let Some(platform) = &options.platform {
        flag("--custom-platform", platform.clone());
    }
    for name in options.secrets.keys() {
        flag(
            "--secret",
            format!("id={name},src={}", root.join("secret").display()),
        );
    }
    for id in &options.ssh {
        flag("--ssh", id.clone());
    }
    for (name, context) in &options.build_contexts {
        let place = match &context.image {
            Some(image) => format!("docker-image://{image}"),
            None => root.join(format!("named-{name}")).display().to_string(),
        };
        flag("--build-context", format!("{name}={place}"));
    }
    for host in list(&options.add_hosts) {
        flag("--add-host", host);
    }
    for limit in list(&options.ulimits) {
        flag("--ulimit", limit);
    }
    if options.rewrite_timestamp {
        words.push("--reproducible".to_owned());
    }
    words.into_iter().map(OsString::from).collect()
}

fn list(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts
        .map(|text| {
            text.as_str()
                .map_or_else(|| text.to_string(), str::to_owned)
        })
        .collect()
}

/// Gives a tree to another user.
fn give(path: &Path, user: u32) -> Result<()> {
    let metadata = path.symlink_metadata()?;
    lchown(path, Some(user), Some(user)).with_context(|| format!("chown {}", path.display()))?;
    if !metadata.is_symlink() {
        // A change of owner takes set-id bits away.
        fs::set_permissions(path, metadata.permissions())?;
    }
    if metadata.is_dir() {
        for child in fs::read_dir(path)? {
            give(&child?.path(), user)?;
        }
    }
    Ok(())
}
